//! `[waf]`: the rules of the feature `waf`, and what is done with requests that they match.

use freehold_domain::waf::Mode;

use super::values::Values;

const RULES: &str = "waf.rules";
const MODE: &str = "waf.mode";
pub(super) const SETTINGS: &[&str] = &[RULES, MODE];

/// Rules, and what is done with requests that they match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waf {
    /// Files in the order in which they are read, each a path or a pattern of paths. The files themselves are read at start.
    pub rules: Vec<String>,
    /// What is done for tenants that were given no mode.
    pub mode: Mode,
}

/// The outer `None` comes with a fault; the inner one is a server without rules.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn read(values: &mut Values) -> Option<Option<Waf>> {
    read_in(values, cfg!(feature = "waf"))
}

/// As [`read`], in a build that has the feature or has it not.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn read_in(values: &mut Values, has_engine: bool) -> Option<Option<Waf>> {
    let remedy = "write paths with commas between, like /etc/modsecurity/crs/crs-setup.conf";
    let rules = values.read(RULES, "a list of files", remedy, files);
    let mode = values.read(MODE, "off, detect or block", "write one of the three", |text| text.parse().ok());
    for setting in SETTINGS {
        if !has_engine && values.is_chosen(setting) && !values.is_faulty(setting) {
            values.fault(
                setting,
                "is set, and this build has no rule engine",
                "build with --features waf, or unset it",
            );
        }
    }
    let mode = mode?;
    if mode != Mode::Off && !values.is_set(RULES) && !values.is_faulty(RULES) && !values.is_faulty(MODE) {
        values.fault(MODE, "is set, and there are no rules", "set FREEHOLD_WAF_RULES too, or unset it");
    }
    if SETTINGS.iter().any(|setting| values.is_faulty(setting)) {
        return None;
    }
    Some(rules.map(|rules| Waf { rules, mode }))
}

fn files(text: &str) -> Option<Vec<String>> {
    let files = text.split(',').map(|file| Some(file.trim().to_owned()).filter(|file| !file.is_empty()));
    files.collect()
}

#[cfg(test)]
mod tests {
    use super::super::env::Env;
    use super::*;

    /// What is read, or what is wrong.
    fn read(has_engine: bool, env: &[(&str, &str)]) -> Result<Option<Waf>, Vec<String>> {
        let env: Env = env.iter().copied().collect();
        let mut values = Values::gather(None, &env);
        let waf = read_in(&mut values, has_engine);
        let faults: Vec<_> = values.into_faults().to_string().lines().map(str::to_owned).collect();
        assert_eq!(waf.is_none(), !faults.is_empty(), "{faults:?}");
        waf.ok_or(faults)
    }

    #[track_caller]
    fn is_fault_of(name: &str, read: Result<Option<Waf>, Vec<String>>) {
        let faults = read.expect_err("a fault");
        assert!(matches!(&faults[..], [fault] if fault.starts_with(&format!("{name}: "))), "{faults:?}");
    }

    #[test]
    fn rules_are_files_in_order_and_a_mode_needs_them() {
        assert_eq!(read(true, &[]), Ok(None));
        let waf = read(true, &[("FREEHOLD_WAF_RULES", "b.conf, a/*.conf"), ("FREEHOLD_WAF_MODE", "detect")]);
        let rules = ["b.conf", "a/*.conf"].map(str::to_owned).to_vec();
        assert_eq!(waf, Ok(Some(Waf { rules, mode: Mode::Detect })));
        is_fault_of("FREEHOLD_WAF_MODE", read(true, &[("FREEHOLD_WAF_MODE", "block")]));
    }

    #[test]
    fn without_the_feature_whatever_is_set_is_a_fault() {
        assert_eq!(read(false, &[]), Ok(None));
        let (rules, mode) = ("FREEHOLD_WAF_RULES", "FREEHOLD_WAF_MODE");
        for (name, value) in [(rules, "a.conf"), (rules, ","), (mode, "off"), (mode, "x")] {
            is_fault_of(name, read(false, &[(name, value)]));
        }
        assert_eq!(read(false, &[(rules, "a.conf"), (mode, "block")]).map_err(|faults| faults.len()), Err(2));
    }
}
