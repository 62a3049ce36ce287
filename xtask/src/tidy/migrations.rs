//! Migrations: both engines have the same numbers and names, without a gap.
//!
//! SQLite keeps several kinds of file, each with a folder: `sqlite/tenant/0003_members.sql` is beside
//! `postgres/0003_members.sql`, and one number may change several kinds.

use std::collections::BTreeMap;

use super::Finding;

const ENGINES: [&str; 2] = ["migrations/postgres/", "migrations/sqlite/"];

/// A number that is given to a migration still to come.
const RESERVED: usize = 6;

/// What is wrong with the migrations among `paths`.
pub(super) fn check(paths: &[String]) -> Vec<Finding> {
    let [postgres, sqlite] = ENGINES.map(|folder| by_name(paths, folder));
    let mut findings = Vec::new();
    for (names, others, other) in [(&postgres, &sqlite, "SQLite"), (&sqlite, &postgres, "PostgreSQL")] {
        let numbers = (1..).filter(|number| *number != RESERVED);
        for (number, (name, path)) in numbers.zip(names.iter()) {
            if !others.contains_key(name) {
                let rule = format!("no {name} for {other}");
                findings.push(Finding::new(path, 1, rule, "write the migration for both engines"));
            }
            let what = name.strip_prefix(&format!("{number:04}_")).and_then(|rest| rest.strip_suffix(".sql"));
            if what.is_none_or(str::is_empty) {
                let rule = format!("not the migration number {number}");
                findings.push(Finding::new(path, 1, rule, "name it NNNN_what.sql, without a gap"));
            }
        }
    }
    findings
}

/// The files below `folder` by their name, each name once.
fn by_name<'a>(paths: &'a [String], folder: &str) -> BTreeMap<&'a str, &'a str> {
    let below = paths.iter().filter(|path| path.starts_with(folder));
    below.map(|path| (path.rsplit('/').next().unwrap_or(path), path.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(paths: &[&str]) -> Vec<String> {
        let paths: Vec<String> = paths.iter().map(|path| format!("migrations/{path}")).collect();
        check(&paths).into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn equal_sets_pass() {
        let nothing: [&str; 0] = [];
        assert_eq!(found(&[]), nothing);
        assert_eq!(
            found(&["postgres/0001_a.sql", "postgres/0002_b.sql", "sqlite/0001_a.sql", "sqlite/0002_b.sql"]),
            nothing
        );
    }

    #[test]
    fn sqlite_may_split_a_number_over_its_kinds_of_file() {
        let nothing: [&str; 0] = [];
        assert_eq!(found(&["postgres/0001_a.sql", "sqlite/system/0001_a.sql", "sqlite/tenant/0001_a.sql"]), nothing);
    }

    #[test]
    fn a_missing_twin_is_found_on_either_side() {
        assert_eq!(found(&["postgres/0001_a.sql"]), ["migrations/postgres/0001_a.sql"]);
        assert_eq!(found(&["sqlite/0001_a.sql"]), ["migrations/sqlite/0001_a.sql"]);
    }

    #[test]
    fn gaps_and_twice_used_numbers_are_found() {
        assert_eq!(found(&["postgres/0002_b.sql", "sqlite/0002_b.sql"]).len(), 2);
        let twice = ["postgres/0001_a.sql", "postgres/0001_b.sql", "sqlite/0001_a.sql", "sqlite/0001_b.sql"];
        assert_eq!(found(&twice), ["migrations/postgres/0001_b.sql", "migrations/sqlite/0001_b.sql"]);
    }
}
