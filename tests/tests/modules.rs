//! No circles between modules: of each crate's top-level modules, and of the SDK's packages, some stand on others, and
//! none stands on itself over others.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Module → the modules that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

const CRATES: [&str; 8] = [
    "proto",
    "edge",
    "coordinator",
    "coordinator/clickhouse",
    "executor",
    "executor/interpreter",
    "executor/kernels",
    "tests",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files below `folder` that end in `suffix`.
fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path, suffix));
        } else if path.to_str().is_some_and(|name| name.ends_with(suffix)) {
            all.push(path);
        }
    }
    all
}

/// The top-level module that a file belongs to.
fn module_of(file: &Path, folder: &Path) -> String {
    let path = file.strip_prefix(folder).unwrap();
    let first = path.components().next().unwrap();
    Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// Rust without comments, and without what is for tests only.
fn code_of(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The first names of what follows `crate::` in a text: `a` of `crate::a::B`, `a` and `b` of `crate::{a, b::C}`.
fn named_after_crate(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (start, _) in text.match_indices("crate::") {
        if text[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &text[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => drop(names.insert(word(rest))),
            Some(group) => {
                let mut depth = 0;
                let mut first = true;
                for (at, c) in group.char_indices() {
                    if depth == 0 && first && !c.is_whitespace() && c != '}' {
                        names.insert(word(&group[at..]));
                        first = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => first = true,
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn rust(name: &str) -> Uses {
    let folder = root().join(name).join("src");
    let sources = files(&folder, ".rs");
    // Programs and roots are no modules: they stand on all.
    let is_module = |module: &String| !["main", "lib", "bin"].contains(&module.as_str());
    let modules: BTreeSet<String> = sources.iter().map(|file| module_of(file, &folder)).filter(is_module).collect();
    let mut uses: Uses = modules.iter().map(|module| (module.clone(), BTreeSet::new())).collect();
    for file in &sources {
        let module = module_of(file, &folder);
        let for_tests = file.to_str().unwrap().ends_with("tests.rs");
        let Some(used) = uses.get_mut(&module).filter(|_| !for_tests) else { continue };
        let named = named_after_crate(&code_of(&std::fs::read_to_string(file).unwrap()));
        used.extend(named.into_iter().filter(|name| *name != module && modules.contains(name)));
    }
    uses
}

/// By relative imports, also those inside functions and for types only: they hide a circle from Python, not from readers.
fn python() -> Uses {
    let folder = root().join("python-sdk/src/udfleet");
    let sources = files(&folder, ".py");
    let is_module = |module: &String| !module.starts_with("__") && module != "_proto";
    let modules: BTreeSet<String> = sources.iter().map(|file| module_of(file, &folder)).filter(is_module).collect();
    let mut uses: Uses = modules.iter().map(|module| (module.clone(), BTreeSet::new())).collect();
    for file in &sources {
        let module = module_of(file, &folder);
        let depth = file.strip_prefix(&folder).unwrap().components().count();
        let Some(used) = uses.get_mut(&module) else { continue };
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines() {
            let Some(import) = line.trim_start().strip_prefix("from .") else { continue };
            let dots = import.chars().take_while(|c| *c == '.').count() + 1;
            if dots != depth {
                continue;
            }
            let rest = import.trim_start_matches('.');
            let named = match rest.strip_prefix(" import ") {
                // `from .. import rows, views as v`
                Some(names) => names.trim_matches(['(', ')']).split(',').map(|name| word(name.trim())).collect(),
                None => vec![word(rest)],
            };
            used.extend(named.into_iter().filter(|name| *name != module && modules.contains(name)));
        }
    }
    uses
}

/// The modules of each circle, in order: sets of modules that all reach each other.
fn circles(uses: &Uses) -> BTreeSet<String> {
    let reach = |start: &String| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(module) = open.pop() {
            open.extend(uses[module].iter().filter(|used| reached.insert((*used).clone())));
        }
        reached
    };
    let reached: Uses = uses.keys().map(|module| (module.clone(), reach(module))).collect();
    let circle = |module: &String| {
        let others = reached[module].iter().filter(|other| reached[*other].contains(module));
        others.cloned().collect::<Vec<_>>().join(" ")
    };
    uses.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

#[test]
fn no_module_stands_on_itself() {
    let rust =
        CRATES.iter().flat_map(|name| circles(&rust(name)).into_iter().map(move |circle| format!("{name}: {circle}")));
    let python = circles(&python()).into_iter().map(|circle| format!("udfleet: {circle}"));
    let found: Vec<String> = rust.chain(python).collect();
    assert!(found.is_empty(), "modules use each other in a circle: {found:#?}");
}

#[test]
fn circles_are_found() {
    let uses = |pairs: &[(&str, &[&str])]| -> Uses {
        pairs.iter().map(|(name, used)| ((*name).to_owned(), used.iter().map(|u| (*u).to_owned()).collect())).collect()
    };
    let tree = uses(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]);
    assert!(circles(&tree).is_empty());
    let circle = uses(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]);
    assert_eq!(circles(&circle), BTreeSet::from(["a b c".to_owned()]));
    let names = named_after_crate("use crate::{a, b::{C, d}, e};\nlet x = crate::f::g();\nuse udfleet_crate::h;");
    assert_eq!(names, ["a", "b", "e", "f"].map(str::to_owned).into());
    assert!(code_of("use a;\n// use crate::b;\n#[cfg(test)]\nmod tests {\nuse crate::c;\n}\n").lines().eq(["use a;"]));
}
