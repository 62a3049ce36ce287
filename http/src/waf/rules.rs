//! Reading rules: files in SecLang, in order, one directive after the other, so that a fault has its line.
//!
//! The engine skips what it does not know and says so in its log; here that is a fault, for a line that is skipped in
//! silence looks like one that holds. What it does otherwise than ModSecurity is made good where rules are read:
//!
//! - It takes a marker that follows at once upon the rule that skips to it for one that was passed, and skips the rest of
//!   the phase. Two actions that do nothing stand before each marker.
//! - Of a chain it does what the first rule says, once all match, and nothing of what the others say; the Core Rule Set
//!   counts in the last. What the others set is moved to the first.
//!
//! Patterns are those of the crate `regex`: a rule that looks around itself never matches, and is named at start.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use zentinel_modsec::engine::phase::Phase;
use zentinel_modsec::parser::{
    Action, DataAction, Directive, FlowAction, LoggingAction, MetadataAction, OperatorName, Parser, SecRule,
    SetVarSpec, SetVarValue,
};
use zentinel_modsec::{CompiledRuleset, Error};

/// What begins the names of the variables in which rules that matched are noted, but for those that say `nolog`.
pub(super) const FOUND: &str = "freehold.";

/// What this server takes, which rules would otherwise assume.
const PRELUDE: &str = "SecRuleEngine On\n\
    SecAction \"id:1,phase:1,pass,nolog,t:none,setvar:'tx.allowed_methods=GET HEAD POST PUT PATCH DELETE OPTIONS'\"\n";
/// Before a marker, in each phase that is run.
const PAUSE: &str = "SecAction \"phase:1,pass,nolog\"\nSecAction \"phase:2,pass,nolog\"\n";
/// Directives that change nothing here.
const IDLE: [&str; 2] = ["seccomponentsignature", "seccollectiontimeout"];

/// What is wrong with a file of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleFault {
    file: PathBuf,
    /// Counted from 1; 0 for the file as a whole.
    line: usize,
    fault: String,
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, fault } = self;
        match line {
            0 => write!(f, "{}: {fault}", file.display()),
            line => write!(f, "{} line {line}: {fault}", file.display()),
        }
    }
}

/// Rules that were read.
pub(super) struct Rules {
    pub(super) compiled: CompiledRuleset,
    pub(super) signatures: Vec<String>,
    pub(super) count: usize,
    pub(super) dead: Vec<String>,
}

impl Rules {
    pub(super) fn load(patterns: &[String]) -> Result<Self, Vec<RuleFault>> {
        let mut reader = Reader::default();
        for pattern in patterns {
            for file in reader.files(pattern) {
                reader.read(&file);
            }
        }
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    parser: Parser,
    /// Where each directive stands.
    places: Vec<(PathBuf, usize)>,
    ids: BTreeSet<u64>,
    signatures: Vec<String>,
    faults: Vec<RuleFault>,
}

impl Reader {
    fn fault(&mut self, file: &Path, line: usize, fault: impl Into<String>) {
        self.faults.push(RuleFault { file: file.to_owned(), line, fault: fault.into() });
    }

    /// The files that a pattern fits, in the order of the alphabet.
    fn files(&mut self, pattern: &str) -> Vec<PathBuf> {
        let found: Vec<PathBuf> = glob::glob(pattern).map(|paths| paths.flatten().collect()).unwrap_or_default();
        if found.is_empty() {
            self.fault(Path::new(pattern), 0, "there is no such file");
        }
        found
    }

    fn read(&mut self, file: &Path) {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => return self.fault(file, 0, format!("cannot be read ({})", error.kind())),
        };
        let (mut directive, mut begins) = (String::new(), 1);
        for (index, line) in text.lines().enumerate() {
            if directive.is_empty() {
                begins = index + 1;
                if line.trim_start().starts_with('#') {
                    continue;
                }
            }
            directive.push_str(line);
            directive.push('\n');
            if !line.ends_with('\\') {
                self.take(file, begins, &directive);
                directive.clear();
            }
        }
        self.take(file, begins, &directive);
    }

    /// Takes one directive.
    fn take(&mut self, file: &Path, line: usize, text: &str) {
        let (name, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let known = match name.to_ascii_lowercase().as_str() {
            "include" | "includeoptional" => Err("is not followed: name the file in waf.rules"),
            "secruleengine" => Err("is not for a file to say: waf.mode does"),
            "secmarker" => self.parser.parse(PAUSE).map_err(|_| "cannot be read"),
            "seccomponentsignature" => {
                self.signatures.push(rest.trim().trim_matches('"').to_owned());
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(fault) = known {
            return self.fault(file, line, format!("{name} {fault}"));
        }
        if let Err(error) = self.parser.parse_with_location(text, Some(file)) {
            self.fault(file, line, words(&error));
        }
        let fault = match self.parser.directives().last() {
            Some(Directive::Unknown(name)) if !IDLE.contains(&name.to_ascii_lowercase().as_str()) => {
                Some(format!("{name} is not supported"))
            }
            Some(Directive::SecRequestBodyAccess(false)) => Some(format!("{name} is not for a file to take away")),
            Some(Directive::SecRule(SecRule { actions, .. })) => {
                id(actions).filter(|id| !self.ids.insert(*id)).map(|id| format!("rule {id} is there already"))
            }
            _ => None,
        };
        let is_new = self.places.len() < self.parser.directives().len();
        self.places.resize(self.parser.directives().len(), (file.to_owned(), line));
        if let Some(fault) = fault.filter(|_| is_new) {
            self.fault(file, line, fault);
        }
    }

    fn finish(self) -> Result<Rules, Vec<RuleFault>> {
        let Self { parser, places, ids, signatures, faults } = self;
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut directives = parser.into_directives();
        join_chains(&mut directives);
        let dead = dead(&directives);
        note(&mut directives);
        let whole = |error: &Error| vec![RuleFault { file: PathBuf::new(), line: 0, fault: words(error) }];
        let mut prelude = Parser::new();
        prelude.parse(PRELUDE).map_err(|error| whole(&error))?;
        let all = prelude.into_directives().into_iter().chain(directives.iter().cloned());
        let compiled = CompiledRuleset::compile(all.collect()).map_err(|error| {
            let alone = |directive: &Directive| CompiledRuleset::compile(vec![directive.clone()]).err();
            let found = directives.iter().zip(&places).find_map(|(directive, place)| Some((alone(directive)?, place)));
            found.map_or_else(
                || whole(&error),
                |(error, (file, line))| vec![RuleFault { file: file.clone(), line: *line, fault: words(&error) }],
            )
        })?;
        for rule in
            [Phase::RequestHeaders, Phase::RequestBody].iter().flat_map(|phase| compiled.rules_for_phase(*phase))
        {
            rule.operator.execute(""); // patterns are compiled when they are first used: not by a client's request
        }
        Ok(Rules { compiled, signatures, count: ids.len(), dead })
    }
}

/// The engine's words, without a place: it is told one directive at a time.
fn words(error: &Error) -> String {
    if let Error::Parse { message, .. } = error { message.clone() } else { error.to_string() }
}

fn id(actions: &[Action]) -> Option<u64> {
    actions
        .iter()
        .find_map(|action| if let Action::Metadata(MetadataAction::Id(id)) = action { Some(*id) } else { None })
}

fn is_chained(rule: &SecRule) -> bool {
    rule.actions.iter().any(|action| matches!(action, Action::Flow(FlowAction::Chain)))
}

/// Calls `on_rule` with each rule and the first of its chain, if that is another.
fn with_heads(directives: &mut [Directive], mut on_rule: impl FnMut(&mut SecRule, Option<&mut SecRule>)) {
    let mut head: Option<&mut SecRule> = None;
    for directive in directives {
        let Directive::SecRule(rule) = directive else { continue };
        on_rule(rule, head.as_deref_mut());
        head = match (is_chained(rule), head) {
            (true, None) => Some(rule),
            (true, head) => head,
            (false, _) => None,
        };
    }
}

/// Moves what the later rules of a chain set to the first.
fn join_chains(directives: &mut [Directive]) {
    with_heads(directives, |rule, head| {
        let Some(head) = head else { return };
        let sets = |action: &Action| matches!(action, Action::Data(DataAction::SetVar(_)) | Action::Control(_));
        head.actions.extend(rule.actions.iter().filter(|action| sets(action)).cloned());
    });
}

/// Has each rule that says who it is, and not that it is not to be told, note that it matched.
fn note(directives: &mut [Directive]) {
    for directive in directives {
        let Directive::SecRule(SecRule { actions, .. }) = directive else { continue };
        let is_quiet = actions.iter().any(|action| matches!(action, Action::Logging(LoggingAction::NoLog)));
        if let Some(id) = id(actions).filter(|_| !is_quiet) {
            let (collection, key) = ("tx".to_owned(), format!("{FOUND}{id}"));
            actions.push(Action::Data(DataAction::SetVar(SetVarSpec { collection, key, value: SetVarValue::Int(1) })));
        }
    }
}

/// The rules, or first rules of chains, that never match: their pattern or all that they look at is unknown to the engine.
fn dead(directives: &[Directive]) -> Vec<String> {
    let mut dead = BTreeSet::new();
    let mut head = None;
    for directive in directives {
        let Directive::SecRule(rule) = directive else { continue };
        let named = head.or_else(|| id(&rule.actions));
        let (name, pattern) = (rule.operator.name, rule.operator.argument.as_str());
        let is_unread = name == OperatorName::Rx && !pattern.contains("%{") && Regex::new(pattern).is_err();
        if is_unread || rule.variables.iter().all(|variable| !variable.name.is_implemented()) {
            dead.extend(named);
        }
        head = named.filter(|_| is_chained(rule));
    }
    dead.into_iter().map(|id| id.to_string()).collect()
}
