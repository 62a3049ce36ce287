//! Promises: each row of the table names tests that exist.

use std::collections::BTreeSet;

use super::Finding;

/// The column of `| K27 | promise | tests | … |` when no heading says `test`.
const TEST_COLUMN: usize = 2;

/// What is wrong with the table in `text`, given the names of all functions.
pub(super) fn check(path: &str, text: Option<&str>, functions: &BTreeSet<String>) -> Vec<Finding> {
    let Some(text) = text else {
        return vec![Finding::new(path, 1, "missing", "write a table of promises and their tests")];
    };
    let mut findings = Vec::new();
    let mut column = TEST_COLUMN;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else { continue };
        if is_rule_line(&cells) {
            continue;
        }
        let next_is_rule_line =
            text.lines().nth(index + 1).and_then(self::cells).is_some_and(|next| is_rule_line(&next));
        if next_is_rule_line {
            column = cells.iter().position(|cell| cell.to_lowercase().starts_with("test")).unwrap_or(TEST_COLUMN);
            continue;
        }
        let cell = cells.get(column).copied().unwrap_or_default();
        if cell.is_empty() {
            findings.push(Finding::new(path, index + 1, "a promise without a test", "name the test in backticks"));
        }
        for test in cell.split('`').skip(1).step_by(2) {
            let name = test.rsplit("::").next().unwrap_or(test).trim_end_matches("()");
            if !functions.contains(name) {
                let rule = format!("no function {name}");
                findings.push(Finding::new(path, index + 1, rule, "name a test that exists"));
            }
        }
    }
    findings
}

/// The cells of a table row.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// Whether this is the line between heading and rows.
fn is_rule_line(cells: &[&str]) -> bool {
    cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let functions = ["locks_after_five", "survives_a_crash"].map(String::from).into();
        check("p.md", Some(text), &functions).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn rows_whose_tests_exist_pass() {
        let text = "# Promises\n\n| id | promise | test | note |\n|---|---|---|---|\n\
                    | K27 | locks | `it::lockout::locks_after_five`, `survives_a_crash` | `x` |\n";
        assert_eq!(found(text), []);
    }

    #[test]
    fn a_missing_test_is_found_in_the_headed_column() {
        let text = "| promise | tests |\n|:--|--:|\n| locks | `it::gone()` |\n| drops | |\n| later | gap: 0.2 |\n";
        assert_eq!(found(text), [(3, String::from("no function gone")), (4, String::from("a promise without a test"))]);
    }

    #[test]
    fn the_file_must_exist() {
        assert_eq!(check("p.md", None, &BTreeSet::new()).len(), 1);
    }
}
