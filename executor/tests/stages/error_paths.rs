//! Exceptions with unusual texts, classes and sizes: always described, and bounded.

use udfleet_proto::v1::{ErrorCode, PythonException};

use crate::support::{Runner, bigint, input, scalar, some};

const MODULE: &str = r#"
class Hostile(Exception):
    def __str__(self):
        raise SystemExit("from str()")
    __repr__ = __str__
    @property
    def __cause__(self):
        raise KeyError("cause")
    @property
    def __notes__(self):
        raise KeyError("notes")
    @property
    def exceptions(self):
        raise KeyError("exceptions")

class Meta(type):
    def __getattribute__(cls, name):
        raise KeyError(name)

class Classless(Exception, metaclass=Meta):
    __class__ = property(lambda self: 1 / 0)

def note():
    error = ValueError("a \ud800 surrogate and a \0")
    error.__notes__ = ["a \udcff note", 7]
    raise error

def hostile():
    raise Hostile

def classless():
    raise Classless("no class")

def long_message():
    raise ValueError("x" * 10_000_000)

def long_chain():
    error = None
    for number in range(5_000):
        following = ValueError(number)
        following.__cause__ = error
        error = following
    raise error

def cycle():
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first

class Group(Exception):
    def __init__(self, depth):
        self.exceptions = tuple(Group(depth - 1) for _ in range(5 if depth else 0))

def wide_group():
    raise Group(5)

def deep():
    def down(n):
        return down(n - 1) if n else 1 / 0
    down(900)

def odd_file():
    exec(compile("1 / 0", "/home/caf\udce9/x.py", "exec"))

def recursion():
    recursion()

def missing():
    import nowhere

def missing_part():
    import json
    import json.nowhere

CASES = [note, hostile, classless, long_message, long_chain, cycle, wide_group, deep, odd_file, recursion, missing,
         missing_part]

def case(a):
    CASES[a]()
"#;

async fn described(runner: &Runner, case: i64) -> (PythonException, String) {
    let failure = runner.call(input(1, &[&some([case])])).await.unwrap_err();
    let info = failure.error.info();
    assert_eq!((failure.error.code(), info.row), (ErrorCode::UserCode, Some(0)), "{case}: {}", failure.error);
    (info.exception.clone().unwrap(), info.hint.clone())
}

fn size(exception: &PythonException) -> usize {
    prost::Message::encoded_len(exception)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_exception_is_described_and_bounded() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("case", &[bigint()], bigint())).await;
    let mut found = Vec::new();
    for case in 0..12 {
        let (exception, hint) = described(&runner, case).await;
        assert!(size(&exception) < 1 << 20, "{case}: {} bytes", size(&exception));
        assert!(!exception.frames.is_empty() && !exception.text.is_empty(), "{case}");
        found.push((exception, hint));
    }
    let of = |case: usize| &found[case].0;
    assert_eq!(of(0).message, "a \\ud800 surrogate and a \\x00");
    assert_eq!(of(0).notes, ["a \\udcff note"]);
    assert_eq!((of(1).r#type.as_str(), of(1).cause.is_none()), ("mod.Hostile", true));
    assert!(of(1).message.contains("SystemExit"));
    assert_eq!((of(2).r#type.as_str(), of(2).message.as_str()), ("mod.Classless", "no class"));
    assert!(of(3).message.len() <= 4096 && of(3).text.len() <= 64 << 10);
    let mut depth = 0;
    let mut next = Some(of(4));
    while let Some(exception) = next {
        (depth, next) = (depth + 1, exception.cause.as_deref());
    }
    assert_eq!(depth, 9, "the first causes");
    let second = of(5).cause.as_ref().unwrap();
    assert_eq!((second.message.as_str(), second.cause.is_none()), ("second", true));
    assert_eq!(of(6).group.len(), 5);
    assert_eq!(of(7).frames.len(), 50);
    assert_eq!(of(8).frames.last().unwrap().file, "/home/caf\\udce9/x.py");
    assert_eq!(of(9).r#type, "RecursionError");
    assert!(found[10].1.contains("files="), "as at load: {}", found[10].1);
    assert!(found[11].1.contains("json 2."), "the package is there: {}", found[11].1);
    runner.interpreter.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_shadows_the_standard_library_does_not_hide_errors() {
    let broken = "raise ImportError('shadowed')\n";
    let others = ["types.py", "linecache.py", "traceback.py", "tokenize.py"].map(|name| (name, broken));
    let runner = Runner::start_with("def case(a):\n    raise ValueError('mine')\n", &others).await;
    runner.load(1, scalar("case", &[bigint()], bigint())).await;
    let (exception, _) = described(&runner, 0).await;
    assert_eq!((exception.message.as_str(), exception.frames.len()), ("mine", 1));
    runner.interpreter.kill();
}
