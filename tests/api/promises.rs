//! `docs/promises.md` names a test for every promise; this one sees to it that they exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Files with tests, by the path of their module.
fn modules() -> BTreeMap<String, String> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut modules = BTreeMap::new();
    for source in ["src", "tests/api"] {
        let mut folders = vec![project.join(source)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    modules.insert(module(path.strip_prefix(project.join(source)).unwrap()), text);
                }
            }
        }
    }
    modules
}

fn module(file: &Path) -> String {
    let path: PathBuf = file.with_extension("");
    let parts = path.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod");
    parts.collect::<Vec<_>>().join("::")
}

fn is_test(modules: &BTreeMap<String, String>, name: &str) -> bool {
    let (module, function) = name.rsplit_once("::").unwrap();
    let inside = module.strip_suffix("::tests").unwrap_or(module);
    let files = [module, inside].into_iter().filter_map(|module| modules.get(module));
    files.into_iter().any(|text| {
        let Some(at) = text.find(&format!("fn {function}(")) else { return false };
        let before: Vec<&str> = text[..at].lines().rev().take(3).collect();
        before.iter().any(|line| line.contains("test]")) || text[..at].ends_with("async ")
    })
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/promises.md");
    let page = fs::read_to_string(page).unwrap();
    let modules = modules();
    let quoted = page.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.contains("::") && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
    };
    let names: Vec<&str> = quoted.filter(is_name).collect();
    assert!(names.len() > 20, "{names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !is_test(&modules, name)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "docs/promises.md names tests that do not exist");
}
