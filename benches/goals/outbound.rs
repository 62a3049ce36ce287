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
}

impl Way {
    const fn quick(name: &'static str, mode: Mode) -> Self {
        Self { name, mode, by_hand: ByHand::Reset, window: WINDOW, sign: Sign::Opened }
    }

    const fn slow(name: &'static str, mode: Mode) -> Self {
        Self { name, mode, by_hand: ByHand::Reset, window: WINDOW_OF_SLOW, sign: Sign::Waiting }
    }
}

/// Ways that are compared with the first of them. One that fails at once is called as often as one that is well; one that is
/// slow is hardly called at all, and must not be measured against somebody who costs more.
const GROUPS: [&[Way]; 2] = [
    &[
        Way { sign: Sign::Told, ..Way::quick("answers 200", Mode::Well) },
        Way::quick("closes", Mode::Closes),
        Way::quick("answers 500", Mode::Status(500, "")),
        Way::quick("answers 429", Mode::Status(429, "retry-after: 1\r\n")),
    ],
    &[
        Way { by_hand: ByHand::Open, sign: Sign::NoCall, ..Way::slow("is not called", Mode::Well) },
        Way::slow("hangs", Mode::Hangs),
        Way::slow("drips", Mode::Drips),
    ],
];

/// What is compared, in the order of [`Turn::p99s`].
const FIGURES: [&str; 4] = [
    "other tenants' GET /v1/me",
    "other tenants' GET /v1/members/{id}",
    "from event to delivery at other tenants'",
    "from event to delivery at its tenant's other one",
];

/// An endpoint that fails.
pub(crate) fn failing(options: Options) -> Vec<Row> {
    off_the_first_core(move || measure(options))
}

fn measure(options: Options) -> Vec<Row> {
    let scene = Scene::set();
    let mut turns = GROUPS.map(|ways| ways.iter().map(|_| vec![]).collect::<Vec<Vec<Turn>>>());
    for round in 0..options.rounds(5) {
        for (ways, turns) in GROUPS.iter().zip(&mut turns) {
            for n in 0..ways.len() {
                let n = (n + round) % ways.len(); // nobody is always first
                let window = if options.short { ways[n].window / 4 } else { ways[n].window };
                let turn = scene.turn(&ways[n], window);
                eprintln!("  an endpoint {}: {turn}", ways[n].name);
                turns[n].push(turn);
            }
        }
    }
    let mut rows = vec![];
    for (ways, turns) in GROUPS.iter().zip(&turns) {
        for (way, mine) in ways.iter().zip(turns).skip(1) {
            rows.extend((0..FIGURES.len()).map(|figure| row((way, mine), (&ways[0], &turns[0]), figure)));
        }
    }
    let all = || turns.iter().flatten().flatten();
    let (wrong, lost) = (all().map(|turn| turn.wrong).sum::<usize>(), all().map(|turn| turn.lost).sum::<usize>());
    rows.push(Row::at_most("outbound", "requests that were not answered as they should be", wrong as f64, 0.0, ""));
    rows.push(Row::at_most("outbound", "events that did not come to an endpoint that is well", lost as f64, 0.0, ""));
    rows
}

fn row((way, mine): (&Way, &[Turn]), (reference, theirs): (&Way, &[Turn]), figure: usize) -> Row {
    let of = |turns: &[Turn]| -> Vec<f64> { turns.iter().map(|turn| turn.p99s[figure]).collect() };
    let (mine, theirs) = (of(mine), of(theirs));
    let ratios: Vec<f64> = mine.iter().zip(&theirs).map(|(failing, usual)| failing / usual).collect();
    let note = format!("{}; {:.2} and {:.2} ms", span(&ratios), median(&mine), median(&theirs));
    let what = format!("an endpoint {}: {}, p99 ÷ when it {}", way.name, FIGURES[figure], reference.name);
    Row::at_most("outbound", &what, median(&ratios), WANTED, &note)
}
