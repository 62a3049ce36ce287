//! P6: what an active tenant weighs, and a dormant one.
//!
//! Measured at a few thousand and extrapolated to the promised numbers: what one more tenant adds, between half of
//! them and all of them, so that what does not grow with them (the 256 open files, say) is not counted for each.

use std::fs;
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use crate::estate::{self, Plan};
use crate::load::one_thread;
use crate::process::Folder;
use crate::table::Row;
use crate::{Options, reference};

/// What the process that is weighed is told of each tenant, one line of JSON each.
#[derive(Serialize, Deserialize)]
pub(crate) struct Card {
    pub(crate) slug: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// What it found, in bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Weights {
    /// What does not grow with the tenants.
    pub(crate) base: f64,
    /// One more tenant whose limits count.
    pub(crate) limits: f64,
    /// What sessions and a remembered token add to it.
    pub(crate) sessions: f64,
    /// One more dormant tenant, once those before it are forgotten.
    pub(crate) dormant: f64,
}

/// P6.
pub(crate) fn memory(options: Options) -> Vec<Row> {
    let Options { tenants, dormant, .. } = options;
    assert!(tenants >= 4 * estate::OPEN_FILES_MAX, "too few tenants: open files alone would be measured");
    let folder = Folder::new();
    eprintln!("  writing {tenants} tenants and {dormant} names");
    let plan = Plan { tenants, members: 1, sessions: 1 };
    let made = one_thread().block_on(estate::make(&folder, plan, dormant));
    let cards = made.iter().map(|tenant| {
        let (slug, access) = (tenant.slug.clone(), tenant.access_token());
        serde_json::to_string(&Card { slug, access, refresh: tenant.refresh_tokens[0].clone() }).unwrap() + "\n"
    });
    let path = folder.path().join("cards");
    fs::write(&path, cards.collect::<String>()).unwrap();
    let args =
        [folder.data_dir().display().to_string(), path.display().to_string(), tenants.to_string(), dormant.to_string()];
    let args = args.each_ref().map(String::as_str);
    let told = reference::command(reference::MEMORY, &args).stderr(Stdio::inherit()).output().unwrap();
    rows(&serde_json::from_slice(&told.stdout).unwrap(), options)
}

fn rows(weights: &Weights, measured: Options) -> Vec<Row> {
    let Weights { base, limits, sessions, dormant } = *weights;
    let row = |what: &str, bytes: f64, bound: f64, each: f64, count: usize| {
        let note = format!("EXTRAPOLATED from {count}: {:.0} MB; {:.2} kB each", bytes / 1e6, each / 1e3);
        Row::at_most("P6", what, bytes / bound, 1.0, &note)
    };
    let both = limits + sessions;
    let all = |each: f64| base + 100_000.0 * each;
    vec![
        row("100,000 active tenants, limits only ÷ 1.8 GB", all(limits), 1.8e9, limits, measured.tenants),
        row("100,000 active tenants, sessions too ÷ 2.6 GB", all(both), 2.6e9, both, measured.tenants),
        row("1,000,000 dormant tenants met and forgotten ÷ 150 MB", 1e6 * dormant, 150e6, dormant, measured.dormant),
    ]
}
