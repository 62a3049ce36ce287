//! Outbound calls: the endpoint of one tenant fails, in each of the ways there are, and goes on failing. Does anybody else
//! notice: requests of other tenants, what other tenants are told, or what the same tenant's other endpoint is told?
//!
//! Every turn has the same requests and the same events; all that differs is how the one endpoint answers. It has more to
//! hear than it takes, and its breaker is reset ten times a second, so that what is measured is the failure.

mod provider;
mod turn;

use std::time::Duration;

use crate::Options;
use crate::load::{median, span};
use crate::sessions::off_the_first_core;
use crate::table::Row;
use provider::Mode;
use turn::{Scene, Turn};

/// Other tenants.
const OTHERS: usize = 25;
/// Those of them that are told of events.
const TOLD: usize = 10;
/// What the others' p99 may grow by.
const WANTED: f64 = 1.2;
/// How long is measured in one turn.
const WINDOW: Duration = Duration::from_secs(6);
/// And where a call takes ten seconds to be given up: it must happen within.
const WINDOW_OF_SLOW: Duration = Duration::from_secs(11);

/// What is done to the breaker of the endpoint, over and over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ByHand {
    Reset,
    Open,
}

/// What a turn must have seen of the endpoint, or it did not measure what it says.
#[derive(Clone, Copy)]
enum Sign {
    /// Its events came there.
    Told,
    /// No call was made.
    NoCall,
    /// Calls failed, and opened the breaker.
    Opened,
    /// All the time a call was under way.
    Waiting,
}

/// How the endpoint answers in a turn.
struct Way {
    name: &'static str,
    mode: Mode,
    by_hand: ByHand,
    window: Duration,
    sign: Sign,
    /// The way it is compared with, by its place.
    reference: Option<usize>,
}

const WELL: usize = 0;
const LEFT_ALONE: usize = 1;

impl Way {
    const fn quick(name: &'static str, mode: Mode) -> Self {
        let reference = Some(WELL);
        Self { name, mode, by_hand: ByHand::Reset, window: WINDOW, sign: Sign::Opened, reference }
    }

    const fn slow(name: &'static str, mode: Mode) -> Self {
        let reference = Some(LEFT_ALONE);
        Self { name, mode, by_hand: ByHand::Reset, window: WINDOW_OF_SLOW, sign: Sign::Waiting, reference }
    }
}

const WAYS: [Way; 7] = [
    Way { sign: Sign::Told, reference: None, ..Way::quick("it answers 200", Mode::Well) },
    Way { by_hand: ByHand::Open, sign: Sign::NoCall, reference: None, ..Way::slow("its breaker is open", Mode::Well) },
    Way::quick("closes", Mode::Closes),
    Way::quick("answers 500", Mode::Status(500, "")),
    Way::quick("answers 429", Mode::Status(429, "retry-after: 1\r\n")),
    Way::slow("hangs", Mode::Hangs),
    Way::slow("drips", Mode::Drips),
];

/// What is compared, in the order of [`Turn::p99s`].
const FIGURES: [&str; 4] = [
    "others' GET /v1/me",
    "others' GET /v1/members/{id}",
    "event to delivery, others",
    "event to delivery, its tenant's other",
];

/// An endpoint that fails.
pub(crate) fn failing(options: Options) -> Vec<Row> {
    off_the_first_core(move || measure(options))
}

fn measure(options: Options) -> Vec<Row> {
    let scene = Scene::set();
    let mut turns: [Vec<Turn>; 7] = Default::default();
    for round in 0..options.rounds(5) {
        for n in 0..WAYS.len() {
            let n = (n + round) % WAYS.len(); // nobody is always first
            let way = &WAYS[n];
            let window = if options.short { way.window / 4 } else { way.window };
            let turn = scene.turn(way, window);
            eprintln!("  {}: {turn}", way.name);
            turns[n].push(turn);
        }
    }
    let mut rows = vec![];
    for (way, mine) in WAYS.iter().zip(&turns) {
        if let Some(reference) = way.reference {
            rows.extend((0..FIGURES.len()).map(|figure| row(way, figure, mine, (&WAYS[reference], &turns[reference]))));
        }
    }
    let all = || turns.iter().flatten();
    let wrong: usize = all().map(|turn| turn.wrong).sum();
    let lost: usize = all().map(|turn| turn.lost).sum();
    rows.push(Row::at_most("outbound", "requests that were not answered as they should be", wrong as f64, 0.0, ""));
    rows.push(Row::at_most("outbound", "events that did not come to an endpoint that is well", lost as f64, 0.0, ""));
    rows
}

fn row(way: &Way, figure: usize, mine: &[Turn], (reference, theirs): (&Way, &[Turn])) -> Row {
    let of = |turns: &[Turn]| -> Vec<f64> { turns.iter().map(|turn| turn.p99s[figure]).collect() };
    let (mine, theirs) = (of(mine), of(theirs));
    let ratios: Vec<f64> = mine.iter().zip(&theirs).map(|(ours, bare)| ours / bare).collect();
    let note = format!("{}; {:.2} and {:.2} ms", span(&ratios), median(&mine), median(&theirs));
    let what = format!("an endpoint {}: {}, p99 ÷ when {}", way.name, FIGURES[figure], reference.name);
    Row::at_most("outbound", &what, median(&ratios), WANTED, &note)
}
