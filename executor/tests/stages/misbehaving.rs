//! User code that writes to the link, or exhausts what the link needs: its interpreter is replaced, with a typed error.

use udfleet_proto::v1::ErrorCode;

use crate::support::{Runner, bigint, decode, field, input, longs, scalar, schema, some};

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

def frees_all(a):
    while held:
        os.close(held.pop())
    return a
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_protocol_ends_the_interpreter() {
    for name in ["writes_garbage", "writes_much", "replies_to_none", "replies_too", "closes"] {
        let runner = Runner::start(MODULE).await;
        runner.load(1, scalar(name, &[bigint()], bigint())).await;
        runner.load(2, scalar("frees_all", &[bigint()], bigint())).await;
        let failure = runner.call(input(1, &[&some([1])])).await.expect_err(name);
        assert_eq!(failure.error.code(), ErrorCode::InterpreterCrashed, "{name}: {}", failure.error);
        assert!(failure.lost && failure.retryable(), "{name}");
        assert!(failure.error.info().exit.is_some(), "{name}");
        assert!(!runner.interpreter.alive(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_without_descriptors_is_given_up_and_says_why() {
    let runner = Runner::start(MODULE).await;
    runner.load(1, scalar("takes_all", &[bigint()], bigint())).await;
    runner.load(2, scalar("frees_all", &[bigint()], bigint())).await;
    let result = schema(&[field("result", &bigint())]);
    // Its region is not free until it has been read: the next call needs another one.
    let unread = runner.call(input(1, &[&some([1])])).await.unwrap();
    let failure = runner.call(input(2, &[&some([1])])).await.unwrap_err();
    assert_eq!(longs(&decode(&unread, &result), 0), some([1]));
    assert_eq!(failure.error.code(), ErrorCode::InterpreterCrashed, "{}", failure.error);
    assert!(failure.error.info().message.contains("file descriptors"), "{}", failure.error);
    assert!(failure.retryable() && !runner.interpreter.alive());
}
