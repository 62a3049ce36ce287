//! `[waf]`: the rules of the feature `waf`, and what is done with requests that they match.

use freehold_domain::waf::Mode;

use super::values::Values;

pub(crate) const RULES: &str = "waf.rules";
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

    fn read(has_engine: bool, env: &[(&str, &str)]) -> (Option<Option<Waf>>, Vec<String>) {
        let env: Env = env.iter().copied().collect();
        let mut values = Values::gather(None, &env);
        let waf = read_in(&mut values, has_engine);
        (waf, values.into_faults().to_string().lines().map(str::to_owned).collect())
    }

    #[test]
    fn rules_are_files_in_order_and_a_mode_needs_them() {
        assert_eq!(read(true, &[]), (Some(None), vec![]));
        let (waf, faults) = read(true, &[("FREEHOLD_WAF_RULES", "b.conf, a/*.conf"), ("FREEHOLD_WAF_MODE", "detect")]);
        let rules = ["b.conf", "a/*.conf"].map(str::to_owned).to_vec();
        assert_eq!((waf, faults), (Some(Some(Waf { rules, mode: Mode::Detect })), vec![]));
        let (waf, faults) = read(true, &[("FREEHOLD_WAF_MODE", "block")]);
        assert!(
            waf.is_none() && matches!(&faults[..], [fault] if fault.starts_with("FREEHOLD_WAF_MODE: ")),
            "{faults:?}"
        );
    }

    #[test]
    fn without_the_feature_whatever_is_set_is_a_fault() {
        assert_eq!(read(false, &[]), (Some(None), vec![]));
        for (name, value) in
            [("FREEHOLD_WAF_RULES", "a.conf"), ("FREEHOLD_WAF_MODE", "off"), ("FREEHOLD_WAF_MODE", "x")]
        {
            let (waf, faults) = read(false, &[(name, value)]);
            assert!(waf.is_none() && matches!(&faults[..], [fault] if fault.starts_with(name)), "{faults:?}");
        }
        let both = [("FREEHOLD_WAF_RULES", "a.conf"), ("FREEHOLD_WAF_MODE", "block")];
        assert_eq!(read(false, &both).1.len(), 2);
    }
}
