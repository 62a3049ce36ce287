//! Rules on `Cargo.toml` and `Cargo.lock`.

use super::Finding;

/// Not even in the lock file: one provider of cryptography, and no C library of the system.
const NEVER_LOCKED: [&str; 2] = ["openssl-sys", "native-tls"];
/// May be locked for platforms and features we do not build, but not be built.
const NEVER_BUILT: [&str; 2] = ["ring", "rsa"];
const REMEDY: &str = "find who brings it with `cargo tree -i` and turn that feature off";

/// Every workspace member takes the lints of the workspace. `read` opens a manifest.
pub(super) fn check_lints(root: &str, read: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let members = members(root).into_iter().map(|member| format!("{member}/Cargo.toml"));
    let manifests = members.chain([String::from("Cargo.toml")]);
    manifests
        .filter(|path| !read(path).is_some_and(|text| takes_lints(&text)))
        .map(|path| Finding::new(&path, 1, "does not take the workspace's lints", "add `[lints] workspace = true`"))
        .collect()
}

/// Packages that must not be there, given the lock file and the lines `name vX.Y.Z` of `cargo tree`.
pub(super) fn check_bans(lock: &str, tree: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let locked_at = |name: &str| lock.lines().position(|line| line == format!("name = \"{name}\""));
    for name in NEVER_LOCKED {
        if let Some(index) = locked_at(name) {
            findings.push(Finding::new("Cargo.lock", index + 1, format!("{name} is locked"), REMEDY));
        }
    }
    for name in NEVER_BUILT {
        if tree.lines().any(|line| line.split_whitespace().next() == Some(name)) {
            let line = locked_at(name).map_or(1, |index| index + 1);
            findings.push(Finding::new("Cargo.lock", line, format!("{name} is built"), REMEDY));
        }
    }
    findings
}

/// The paths in `members = ["domain", …]`.
fn members(root: &str) -> Vec<String> {
    let list = root.split_once("\nmembers = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

fn takes_lints(manifest: &str) -> bool {
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.take_while(|line| !line.starts_with('[')).any(|line| line == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\nmembers = [\"domain\",\n  \"http\"]\ndefault-members = [\".\"]\n";

    #[test]
    fn every_member_takes_the_lints() {
        let manifest = |path: &str| match path {
            "Cargo.toml" => Some(format!("{ROOT}[lints]\nworkspace = true\n")),
            "domain/Cargo.toml" => Some(String::from("[lints]\n[dependencies]\nworkspace = true\n")),
            _ => None,
        };
        let found: Vec<String> = check_lints(ROOT, manifest).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["domain/Cargo.toml", "http/Cargo.toml"]);
    }

    #[test]
    fn banned_packages_are_found() {
        let lock = "[[package]]\nname = \"native-tls\"\n\n[[package]]\nname = \"ring\"\n";
        let found = |tree: &str| check_bans(lock, tree).into_iter().map(|finding| finding.line).collect::<Vec<_>>();
        assert_eq!(found("subtle v2.6.1\nstring v1.0.0\n"), [2]);
        assert_eq!(found("ring v0.17.0 (*)\n"), [2, 5]);
    }
}
