//! User code that writes to the link, or exhausts what the link needs: its interpreter is replaced, with a typed error.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use udfleet_executor::link::Input;
use udfleet_proto::types::simple;
use udfleet_proto::v1::{ErrorCode, TypeRoot};

use crate::support::{Runner, bigint, decode, field, input, input_of, longs, scalar, schema, some};

const MODULE: &str = r#"
import os, resource

def writes_garbage(a):
    os.write(3, b"\xff\xff\xff")
    return a

def writes_much(a):
    os.write(3, b"x" * 10_000)
    return a

def replies_to_none(a):
    os.write(3, b"\x08\x63\x22\x00")
    return a

def replies_too(a):
    # Commands are numbered: two loads, then this. A Done without rows.
    os.write(3, b"\x08\x03\x2a\x00")
    return a

def closes(a):
    os.close(3)
    return a

held = []

def takes_all(a):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        return a

scribbling = []

def scribbles(a):
    # What was answered is changed while it is on its way: all regions, again and again.
    import mmap, os, threading, time
    def scribble():
        while True:
            for name in os.listdir("/proc/self/fd"):
                try:
                    if "udfleet-region" not in os.readlink("/proc/self/fd/" + name):
                        continue
                    file = int(name)
                    with mmap.mmap(file, os.fstat(file).st_size) as memory:
                        for at in range(0, 65536, 4):
                            memory[at:at + 4] = b"\xff\xff\xff\x7f"
                except (OSError, ValueError):
                    pass
    if not scribbling:
        scribbling.append(threading.Thread(target=scribble, daemon=True))
        scribbling[0].start()
        time.sleep(0.2)
    return a

def regions():
    for name in os.listdir("/proc/self/fd"):
        try:
            if "udfleet-region" in os.readlink("/proc/self/fd/" + name):
                yield int(name)
        except OSError:
            pass

def seals(a):
    # Nothing may grow any more, nor be mapped anew.
    import fcntl
    for file in regions():
        for seal in (fcntl.F_SEAL_GROW, 0x10, fcntl.F_SEAL_SHRINK):
            try:
                fcntl.fcntl(file, fcntl.F_ADD_SEALS, seal)
            except OSError:
                pass
    return a

def shrinks(a):
    for file in regions():
        for change in (lambda: os.ftruncate(file, 0), lambda: os.ftruncate(file, 1 << 40)):
            try:
                change()
            except OSError:
                pass
    return a

def passes_descriptors(a):
    import array, socket
    link = socket.socket(fileno=os.dup(3))
    file = os.open("/dev/null", os.O_RDONLY)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file] * 100))]
    link.sendmsg([b"\x08\x63\x22\x00"], rights)
    return a

def floods(a):
    import socket
    link = socket.socket(fileno=os.dup(3))
    try:
        while True:
            link.send(b"\x08\x63\x22\x00" * 900)
    except OSError:
        os._exit(1)

def frees_all(a):
    while held:
        os.close(held.pop())
    return a
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_protocol_ends_the_interpreter() {
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    for name in
        ["writes_garbage", "writes_much", "replies_to_none", "replies_too", "closes", "passes_descriptors", "floods"]
    {
        let runner = Runner::start(MODULE).await;
        runner.load(1, scalar(name, &[bigint()], bigint())).await;
        runner.load(2, scalar("frees_all", &[bigint()], bigint())).await;
        let failure = runner.call(input(1, &[&some([1])])).await.expect_err(name);
        assert_eq!(failure.error.code(), ErrorCode::InterpreterCrashed, "{name}: {}", failure.error);
        assert!(failure.lost && failure.retryable(), "{name}");
        assert!(failure.error.info().exit.is_some(), "{name}");
        assert!(!runner.interpreter.alive(), "{name}");
    }
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(after < before + 50, "descriptors that were passed are not kept: {before}, then {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_that_user_code_seals_or_resizes_serve_later_calls() {
    for name in ["seals", "shrinks"] {
        let runner = Runner::start(MODULE).await;
        runner.load(1, scalar(name, &[bigint()], bigint())).await;
        runner.load(2, scalar("frees_all", &[bigint()], bigint())).await;
        let result = schema(&[field("result", &bigint())]);
        let first = runner.call(input(1, &[&some([1])])).await.unwrap();
        assert_eq!(longs(&decode(&first, &result), 0), some([1]), "{name}");
        // The same region, grown.
        let many: Vec<_> = some(0..200_000);
        let later = runner.call(input(2, &[&many])).await.map_err(|failure| failure.error).expect(name);
        assert_eq!(longs(&decode(&later, &result), 0), many, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_without_descriptors_is_given_up_and_says_why() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("takes_all", &[bigint()], bigint())).await;
    runner.load(2, scalar("frees_all", &[bigint()], bigint())).await;
    let result = schema(&[field("result", &bigint())]);
    // Sent ahead: it needs a region of its own, whose descriptor comes when there is none left.
    let (first, second) = tokio::join!(runner.call(input(1, &[&some([1])])), runner.call(input(2, &[&some([1])])));
    let failure = second.unwrap_err();
    assert_eq!(longs(&decode(&first.unwrap(), &result), 0), some([1]));
    assert_eq!(failure.error.code(), ErrorCode::InterpreterCrashed, "{}", failure.error);
    assert!(failure.error.info().message.contains("file descriptors"), "{}", failure.error);
    assert!(failure.retryable() && !runner.interpreter.alive());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_changed_in_flight_is_whole_or_ends_its_interpreter() {
    let runner = Runner::start(MODULE).await;
    let text = simple(TypeRoot::Varchar);
    runner.load(1, scalar("scribbles", std::slice::from_ref(&text), text.clone())).await;
    let result = schema(&[field("result", &text)]);
    let words: ArrayRef = Arc::new(StringArray::from(vec!["word"; 1000]));
    for _ in 0..5 {
        let call = Input { results: Some(Arc::clone(&result)), ..input_of(1, vec![Arc::clone(&words)]) };
        match runner.call(call).await {
            // A copy: whatever becomes of the region, this stays as it was validated.
            Ok(output) => assert_eq!(decode(&output, &result).num_rows(), 1000),
            Err(failure) if failure.lost => {
                assert_eq!(failure.error.code(), ErrorCode::InterpreterCrashed, "{}", failure.error);
                return assert!(!runner.interpreter.alive());
            }
            // Its input was changed: it says so.
            Err(_) => {}
        }
    }
}
