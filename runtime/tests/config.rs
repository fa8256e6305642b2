//! Settings: precedence, sources, problems, grammar and masking, as an operator meets them.

use std::path::Path;
use std::time::Duration;

use expect_test::{Expect, expect};
use runtime::config::{EnvNames, Layers, Problems, Settings, Source, mask, mask_url};
use runtime::config::{format_duration, format_size, parse_duration, parse_size};

const DEFAULTS: &str = r#"
http_address = "127.0.0.1:8000"
[ingest]
queue_batches_max = 1024
flush_after = "5ms"
sample_ratio = 0.5
insecure = false
exclude = ["tmpfs"]
[journal]
segment_bytes = "64MiB"
"#;

const OPTIONAL: &[&str] = &["redis.url", "api_token", "tags.*"];

const NAMES: EnvNames<'static> = EnvNames {
    pairs: &[
        ("HUB_FLUSH_AFTER", "ingest.flush_after"),
        ("HUB_QUEUE", "ingest.queue_batches_max"),
        ("HUB_INSECURE", "ingest.insecure"),
        ("HUB_EXCLUDE", "ingest.exclude"),
        ("HUB_API_TOKEN", "api_token"),
        ("REDIS_URL", "redis.url"),
        ("OLD_REDIS_URL", "redis.url"),
    ],
    prefixes: &["HUB_"],
};

fn layers() -> Layers {
    Layers::new(DEFAULTS, OPTIONAL).expect("the default text is TOML")
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn check(settings: &Settings, expected: &Expect) {
    expected.assert_eq(&settings.print());
}

fn problems(settings: Settings) -> Problems {
    settings.finish().expect_err("the settings have problems")
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let mut layers = layers();
    layers.file(
        Path::new("hub.toml"),
        "http_address = \"a:1\"\n[ingest]\nflush_after = 7\nsample_ratio = 1\nqueue_batches_max = 1\n[tags]\nrole = \"db\"\n",
    );
    let vars = [("HUB_FLUSH_AFTER", "8ms"), ("HUB_QUEUE", "2"), ("HUB_INSECURE", "yes"), ("HUB_EXCLUDE", "a, b")];
    layers.env(NAMES, env(&vars));
    layers.flag("--queue", "ingest.queue_batches_max", "3");
    check(
        &layers.settings(),
        &expect![[r#"
            http_address = "a:1"  # file hub.toml
            ingest.exclude = ["a", "b"]  # environment HUB_EXCLUDE
            ingest.flush_after = "8ms"  # environment HUB_FLUSH_AFTER
            ingest.insecure = true  # environment HUB_INSECURE
            ingest.queue_batches_max = 3  # flag --queue
            ingest.sample_ratio = 1.0  # file hub.toml
            journal.segment_bytes = "64MiB"  # default
            tags.role = "db"  # file hub.toml
        "#]],
    );
}

#[test]
fn every_problem_is_reported_at_once_with_the_nearest_key() {
    let mut layers = layers();
    layers.file(Path::new("hub.toml"), "[ingest]\nqueue_batch_max = 1\nexclude = 3\n[zebra]\nx = 1\n");
    layers.env(NAMES, env(&[("HUB_QUEUE", "many"), ("HUB_FLUSHAFTER", "1s"), ("HOME", "/root")]));
    layers.flag("--flush-after", "ingest.flush_after", "soon");
    let mut settings = layers.settings();
    settings.duration("ingest.flush_after", Duration::ZERO..=Duration::from_secs(1));
    settings.size_bytes("journal.segment_bytes", 1..=1024);
    settings.count("ingest.queue_batches_max", 1..=10);
    settings.text("redis.url");
    expect![[r#"
        9 problems with the settings
          file hub.toml: ingest.exclude is 3, of type integer, not array
          file hub.toml: unknown key "ingest.queue_batch_max"; did you mean "ingest.queue_batches_max"?
          file hub.toml: unknown key "zebra.x"
          environment HUB_QUEUE: ingest.queue_batches_max is "many", not a whole number
          environment HUB_FLUSHAFTER: unknown variable; did you mean "HUB_FLUSH_AFTER"?
          flag --flush-after: ingest.flush_after is "soon", not a duration like 5s, 1h30m or 250ms
          default: journal.segment_bytes is 64MiB, not from 1B to 1KiB
          default: ingest.queue_batches_max is 1024, not a whole number from 1 to 10
          default: redis.url has no value"#]]
    .assert_eq(&problems(settings).to_string());
}

#[test]
fn of_two_variables_for_one_key_the_first_listed_wins() {
    let mut layers = layers();
    layers.env(NAMES, env(&[("OLD_REDIS_URL", "redis://old"), ("REDIS_URL", "redis://new")]));
    let mut settings = layers.settings();
    assert_eq!(settings.text("redis.url"), "redis://new");
    assert_eq!(settings.source("redis.url"), Source::Env("REDIS_URL".into()));
    settings.finish().unwrap();
}

#[test]
fn a_secret_comes_from_a_file_and_is_masked_when_printed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "s3cret\n").unwrap();
    let mut layers = layers();
    layers.env(
        NAMES,
        env(&[
            ("HUB_API_TOKEN_FILE", path.to_str().unwrap()),
            ("REDIS_URL", "redis://me:pa@ss@cache:6379/0?token=x&a=b"),
        ]),
    );
    let mut settings = layers.settings();
    assert_eq!(settings.text("api_token"), "s3cret");
    let printed = settings.print();
    assert!(printed.contains("api_token = \"***\"  # environment HUB_API_TOKEN_FILE\n"), "{printed}");
    assert!(printed.contains("redis.url = \"redis://me:***@cache:6379/0?token=***&a=b\""), "{printed}");
}

#[test]
fn a_secret_given_twice_or_unreadable_is_a_problem() {
    let mut layers = layers();
    let vars = [("HUB_API_TOKEN", "x"), ("HUB_API_TOKEN_FILE", "/nowhere"), ("REDIS_URL_FILE", "/nowhere/else")];
    layers.env(NAMES, env(&vars));
    let text = problems(layers.settings()).to_string();
    assert!(text.contains("HUB_API_TOKEN is set as well; keep one of them"), "{text}");
    assert!(text.contains("cannot open secret file /nowhere/else"), "{text}");
}

#[test]
fn an_empty_value_switches_an_optional_setting_off() {
    let mut layers = layers();
    layers.flag("--redis-url", "redis.url", "");
    let mut settings = layers.settings();
    assert_eq!(settings.optional_text("redis.url"), None);
    settings.finish().unwrap();
}

#[test]
fn names_below_a_free_table_are_data() {
    let mut layers = layers();
    layers.flag("--tag", "tags.site", "eu");
    let settings = layers.settings();
    let tags: Vec<_> = settings.below("tags").map(|(name, value)| (name, value.as_str())).collect();
    assert_eq!(tags, [("site", Some("eu"))]);
}

#[test]
fn broken_toml_and_missing_files_are_problems_not_panics() {
    let mut layers = layers();
    layers.file(Path::new("hub.toml"), "a = = 1");
    layers.read_file(Path::new("/nowhere/hub.toml"));
    let text = problems(layers.settings()).to_string();
    assert!(text.contains("this is not TOML") && text.contains("cannot read the file"), "{text}");
}

#[test]
fn durations_follow_the_grammar() {
    let cases =
        [("5s", 5_000), ("1h30m", 5_400_000), ("250ms", 250), ("1y", 31_536_000_000), ("5", 5_000), ("0.5", 500)];
    for (text, ms) in cases {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in ["", "s", "5x", "5m1h", "1s1s", "-1", "1.5h", "5 s", "NaN", "inf", "999999999999y", "5µs"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    assert_eq!(format_duration(Duration::from_millis(5_400_250)), "1h30m250ms");
    assert_eq!(format_duration(Duration::ZERO), "0s");
}

#[test]
fn sizes_are_binary_or_bare_bytes() {
    let cases = [("64MiB", 64 << 20), ("10 GiB", 10 << 30), ("4096", 4096), ("7B", 7), ("1KiB", 1024), ("0", 0)];
    for (text, bytes) in cases {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for text in ["", "MiB", "64MB", "1.5GiB", "-1", "99999999TiB"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
    assert_eq!(
        (format_size(64 << 20), format_size(1500), format_size(0)),
        ("64MiB".into(), "1500B".into(), "0B".into())
    );
}

#[test]
fn only_the_secret_part_is_masked() {
    assert_eq!(mask("web.session_key", "abc"), "***");
    assert_eq!(mask("collector.tokens", "abc"), "***");
    assert_eq!(mask("journal.folder", "/data"), "/data");
    assert_eq!(mask_url("postgres://u:p@db/x"), "postgres://u:***@db/x");
    assert_eq!(mask_url("http://db:5432/x"), "http://db:5432/x");
}
