//! Bars: how much of each of the last days a machine was heard from, and when machines were down. `page/bars.js` draws and says it the same way.

use std::fmt::Write;

use web::Escaped;

use super::format;
use super::past::{Outage, Outages};
use crate::protocol::{DAYS_MAX, Days};

const INFALLIBLE: &str = "a String takes any text";
/// From bar to bar, each in the middle of its place.
const STEP: usize = 4;
const HEIGHT: usize = 24;
/// Days with less that are named below the bars, newest first.
const NAMED_MAX: usize = 3;
/// Thousandths of a good day and of a fair one.
const GOOD: u16 = 995;
const FAIR: u16 = 950;

/// Class and height of a bar: its colour is not all that tells how the day was.
const LEVELS: [(&str, usize); 4] = [("good", HEIGHT), ("fair", 16), ("poor", 8), ("unknown", 2)];

fn level(share: Option<u16>) -> usize {
    match share {
        Some(GOOD..) => 0,
        Some(FAIR..) => 1,
        Some(_) => 2,
        None => 3,
    }
}

/// The last days of one machine.
pub(super) fn days(out: &mut String, days: Option<&Days>) {
    let share = days.and_then(share);
    let shown = share.map_or_else(|| String::from(format::UNKNOWN), format::thousandths);
    write!(
        out,
        "<section class=\"past\">\n<h3>Last {DAYS_MAX} days</h3>\n<p class=\"value\">{shown}</p>\n\
         <svg class=\"days\" viewBox=\"0 0 {} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        DAYS_MAX * STEP,
        words(days)
    )
    .expect(INFALLIBLE);
    for (class, path) in paths(days) {
        write!(out, "<path class=\"{class}\" d=\"{path}\"/>").expect(INFALLIBLE);
    }
    writeln!(out, "</svg>\n<p class=\"range\">{}</p>\n</section>", caption(days)).expect(INFALLIBLE);
}

/// Of all days of which something is known, in thousandths.
fn share(days: &Days) -> Option<u16> {
    let known = || days.shares.iter().flatten();
    let count = u32::try_from(known().count()).ok().filter(|count| *count != 0)?;
    // Down: only what was whole is all of it.
    u16::try_from(known().map(|share| u32::from(*share)).sum::<u32>() / count).ok()
}

/// A line up for each day, in one path per level; the newest at the right.
fn paths(days: Option<&Days>) -> [(&'static str, String); 4] {
    let mut paths = LEVELS.map(|(class, _)| (class, String::new()));
    let shares = days.map_or(&[][..], |days| &days.shares);
    let unknown = DAYS_MAX.saturating_sub(shares.len());
    for (at, share) in std::iter::repeat_n(&None, unknown).chain(shares).enumerate() {
        let level = level(*share);
        write!(paths[level].1, "M{} {HEIGHT}v-{}", at * STEP + STEP / 2, LEVELS[level].1).expect(INFALLIBLE);
    }
    paths
}

/// Each day of which something is known, newest first.
fn known(days: &Days) -> impl Iterator<Item = (i64, u16)> {
    (0..).map(|age| days.last - age).zip(days.shares.iter().rev()).filter_map(|(day, share)| Some((day, (*share)?)))
}

/// From the first day of which something is known to the last.
fn span(days: &Days) -> Option<String> {
    let (last, _) = known(days).next()?;
    let (first, _) = known(days).last()?;
    let last = format::day(last);
    Some(if format::day(first) == last { last } else { format!("{} to {last}", format::day(first)) })
}

/// For who does not see the bars.
fn words(days: Option<&Days>) -> String {
    match days.and_then(|days| share(days).zip(span(days))) {
        Some((share, span)) => format!("Heard from {} of the time, {span}", format::thousandths(share)),
        None => format!("The last {DAYS_MAX} days are not known"),
    }
}

/// Below the bars: what they span, and on which days there was less.
fn caption(days: Option<&Days>) -> String {
    let Some(days) = days else { return String::from("not known just now") };
    let Some(mut text) = span(days) else { return String::from("begins with the first whole hour") };
    let less: Vec<_> = known(days).filter(|(_, share)| *share < GOOD).collect();
    let named = less.iter().take(NAMED_MAX);
    let named: Vec<_> =
        named.map(|(day, share)| format!("{} ({})", format::day(*day), format::thousandths(*share))).collect();
    if !named.is_empty() {
        write!(text, "; less on {}", named.join(", ")).expect(INFALLIBLE);
    }
    match less.len().saturating_sub(NAMED_MAX) {
        0 => {}
        1 => text.push_str(" and 1 more day"),
        more => write!(text, " and {more} more days").expect(INFALLIBLE),
    }
    text
}

/// When machines were down, below all of them.
pub(super) fn incidents(out: &mut String, outages: &Outages, names: &[String]) {
    out.push_str(
        "<section class=\"incidents\" aria-labelledby=\"incidents\">\n<h2 id=\"incidents\">Incidents</h2>\n<ul>\n",
    );
    for Outage { machine, from, to } in &outages.newest {
        let (shown, at) = format::moment(*from);
        writeln!(
            out,
            "<li><strong>{}</strong> was down from <time datetime=\"{at}\">{shown}</time> <span>{}</span></li>",
            Escaped(&names[*machine]),
            lasted(*from, *to)
        )
        .expect(INFALLIBLE);
    }
    writeln!(out, "</ul>\n<p class=\"range\">{}</p>\n</section>", note(outages)).expect(INFALLIBLE);
}

fn lasted(from: i64, to: Option<i64>) -> String {
    #[expect(clippy::cast_precision_loss, reason = "times are below 2^53")]
    to.map_or_else(
        || String::from("and still is"),
        |to| format!("for {}", format::seconds(((to - from) as f64 / 1_000.0).floor())),
    )
}

/// What the list does not say.
fn note(outages: &Outages) -> String {
    match (outages.is_complete, outages.newest.is_empty()) {
        (true, true) => format!("No machine was down in the last {DAYS_MAX} days."),
        (true, false) => format!("The newest of the last {DAYS_MAX} days."),
        (false, _) => String::from("What was before is not known just now."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shares: &[Option<u16>]) -> Days {
        Days { last: 20_414, shares: shares.to_vec() }
    }

    #[test]
    fn every_day_has_its_bar_and_the_newest_is_at_the_right() {
        let shares = [None, Some(1_000), Some(995), Some(994), Some(950), Some(949), Some(0)];
        let [good, fair, poor, unknown] = paths(Some(&of(&shares))).map(|(_, path)| path);
        assert_eq!(good, "M338 24v-24M342 24v-24");
        assert_eq!(fair, "M346 24v-16M350 24v-16");
        assert_eq!(poor, "M354 24v-8M358 24v-8");
        assert_eq!(unknown.matches('M').count(), DAYS_MAX - 6);
        assert_eq!(paths(None)[3].1.matches('M').count(), DAYS_MAX);
    }

    #[test]
    fn days_are_told_in_words() {
        let some = of(&[None, Some(500), Some(1_000), Some(900), Some(0), Some(993), Some(1_000)]);
        assert_eq!(words(Some(&some)), "Heard from 73.2 % of the time, 17 Nov to 22 Nov");
        assert_eq!(
            caption(Some(&some)),
            "17 Nov to 22 Nov; less on 21 Nov (99.3 %), 20 Nov (0 %), 19 Nov (90 %) and 1 more day"
        );
        assert_eq!(caption(Some(&of(&[Some(1_000)]))), "22 Nov");
        assert_eq!(caption(Some(&of(&[None, None]))), "begins with the first whole hour");
        assert_eq!(words(None), "The last 90 days are not known");
        assert_eq!(caption(None), "not known just now");
    }

    #[test]
    fn incidents_say_when_and_for_how_long() {
        let outage = |machine, to| Outage { machine, from: 1_763_802_359_999, to };
        let newest = vec![outage(1, None), outage(0, Some(1_763_803_079_998))];
        let mut out = String::new();
        incidents(&mut out, &Outages { is_complete: true, newest }, &[String::from("<Front>"), String::from("Back")]);
        let at = "<time datetime=\"2025-11-22T09:05:59Z\">22 Nov 09:05 UTC</time>";
        assert!(out.contains(&format!("<li><strong>Back</strong> was down from {at} <span>and still is</span></li>")));
        assert!(out.contains(&format!("<strong>&lt;Front&gt;</strong> was down from {at} <span>for 12 min</span>")));
        let said = |is_complete| note(&Outages { is_complete, newest: Vec::new() });
        assert_eq!(said(true), "No machine was down in the last 90 days.");
        assert_eq!(said(false), "What was before is not known just now.");
    }
}
