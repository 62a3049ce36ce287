//! The one table that a run ends with.

/// One promised number, and what was found.
pub(crate) struct Row {
    goal: String,
    what: String,
    figure: String,
    wanted: String,
    met: Option<bool>,
}

impl Row {
    /// A figure that must not be above `wanted`.
    pub(crate) fn at_most(goal: &str, what: &str, figure: f64, wanted: f64, note: &str) -> Self {
        Self::of(goal, what, figure, format!("≤ {wanted:.2}"), figure <= wanted, note)
    }

    /// A figure that must not be below `wanted`.
    pub(crate) fn at_least(goal: &str, what: &str, figure: f64, wanted: f64, note: &str) -> Self {
        Self::of(goal, what, figure, format!("≥ {wanted:.2}"), figure >= wanted, note)
    }

    /// A figure that nothing is wanted of.
    pub(crate) fn told(goal: &str, what: &str, figure: f64, note: &str) -> Self {
        Self { wanted: "-".to_owned(), met: None, ..Self::of(goal, what, figure, String::new(), true, note) }
    }

    /// A goal that was not measured, and why.
    pub(crate) fn unmeasured(goal: &str, why: &str) -> Self {
        let (goal, what) = (goal.to_uppercase(), why.to_owned());
        Self { goal, what, figure: "-".to_owned(), wanted: "-".to_owned(), met: None }
    }

    fn of(goal: &str, what: &str, figure: f64, wanted: String, met: bool, note: &str) -> Self {
        let figure = if note.is_empty() { format!("{figure:.2}") } else { format!("{figure:.2} ({note})") };
        Self { goal: goal.to_owned(), what: what.to_owned(), figure, wanted, met: Some(met) }
    }

    const fn verdict(&self) -> &'static str {
        match self.met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        }
    }

    fn cells(&self) -> [&str; 5] {
        [&self.goal, &self.what, &self.figure, &self.wanted, self.verdict()]
    }
}

/// Prints the table, in Markdown.
pub(crate) fn print(rows: &[Row], short: bool) {
    let head = ["goal", "what", "ratio (median; absolutes)", "wanted", "met"];
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row.cells()[column].chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    let line = |cells: [&str; 5]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("| {} |", padded.collect::<Vec<_>>().join(" | "));
    };
    println!();
    line(head);
    line(widths.map(|width| "-".repeat(width)).each_ref().map(String::as_str));
    for row in rows {
        line(row.cells());
    }
    if short {
        println!("\nA short run: it shows that the benches work, not what the server can do.");
    }
    if !env!("CARGO_BIN_EXE_freehold").contains("/release/") {
        println!("\nNot a release build: the figures are not those of the shipped server.");
    }
}
