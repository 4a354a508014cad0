use std::path::PathBuf;
use std::sync::Arc;
use arrow_flight::flight_service_server::FlightServiceServer;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::StreamExt;
use udfleet_executor::{exchange::*, link::*, logs::LogStore, metrics::StatsRegistry, environment::pythons::Pythons};
use udfleet_proto::{types::simple, v1::*, limits::*};
#[tokio::main]
async fn main() {
    let n: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    let bin = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let venv = PathBuf::from("/tmp/v");
    let python = Pythons::discover(&[venv.join("bin/python")]).await;
    let python = python.usable().find(|p| p.version.1 == 11).unwrap().clone();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mod.py"), "def add(i, j):\n    return i + j\ndef ident(x):\n    return x\ndef inc(x):\n    return x + 1\ndef burn(i, j):\n    s = 0\n    for k in range(100): s += k\n    return s\n").unwrap();
    let pool = Pool::new();
    let table = Arc::new(FunctionTable::default());
    let stats = StatsRegistry::default();
    let logs = Arc::new(LogStore::new("e"));
    let fs = [("add", FuncType::General, TypeRoot::Bigint, 2), ("ident", FuncType::Arrow, TypeRoot::Double, 1), ("inc", FuncType::Pandas, TypeRoot::Double, 1), ("burn", FuncType::General, TypeRoot::Bigint, 2)];
    for _ in 0..n {
        let spec = InterpreterSpec { host: bin.join("udfleet-interpreter"), module: bin.join("libudfleet_interpreter.so"), python: venv.join("bin/python"), libpython: python.libpython.clone(), sys_path: vec![dir.path().to_owned()], working_dir: dir.path().to_owned(), env: vec![("LANG".into(), "C.UTF-8".into()), ("OMP_NUM_THREADS".into(), "1".into())], executor: "e".into(), max_in_flight: 2 };
        let i = Interpreter::start(spec, logs.clone()).await.unwrap();
        for (k, (name, ft, root, args)) in fs.iter().enumerate() {
            let p = dir.path().join(format!("{name}.pickle"));
            std::fs::write(&p, format!("cmod\n{name}\n.")).unwrap();
            let d = FunctionDefinition { name: name.to_string(), version: 1, func_type: *ft as i32, input_typed: true, input_types: vec![simple(*root); *args], result_type: Some(simple(*root)), ..Default::default() };
            i.load(LoadSpec { function: k as u32, definition: Some(d.clone()), payload_path: p.display().to_string(), max_rows: 10000, ..Default::default() }).await.unwrap();
            table.insert(ServedFunction::new(d, k as u32, pool.clone(), stats.function(name), "e".into()).unwrap());
        }
        pool.add(i);
    }
    let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", l.local_addr().unwrap());
    let inc = TcpListenerStream::new(l).map(|s| s.and_then(|s| { s.set_nodelay(true)?; Ok(s) }));
    tonic::transport::Server::builder().initial_stream_window_size(STREAM_WINDOW_BYTES).initial_connection_window_size(CONNECTION_WINDOW_BYTES).max_frame_size(1 << 20)
        .add_service(FlightServiceServer::new(FlightFrontend::new(table)).max_decoding_message_size(MAX_FRAME_BYTES).max_encoding_message_size(MAX_FRAME_BYTES)).serve_with_incoming(inc).await.unwrap();
}
