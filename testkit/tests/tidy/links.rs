//! Links: the relative targets a markdown text links to, outside of code.

use std::path::Path;

/// Targets of `[text](target)` and `![text](target)` that name a file of this repository, without their fragments.
pub(crate) fn local_targets(markdown: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut is_code = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            collect_targets(&without_code_spans(line), &mut targets);
        }
    }
    targets
}

pub(crate) fn leads_somewhere(root: &Path, from: &str, target: &str) -> bool {
    let folder = root.join(from).parent().expect("a file is in a folder").to_owned();
    folder.join(target).exists()
}

fn collect_targets(line: &str, targets: &mut Vec<String>) {
    for after in line.split("](").skip(1) {
        let Some((target, _)) = after.split_once(')') else {
            continue;
        };
        let path = target.split(['#', ' ']).next().unwrap_or_default();
        let is_elsewhere = path.contains("://") || path.starts_with("mailto:");
        if !path.is_empty() && !is_elsewhere {
            targets.push(path.to_owned());
        }
    }
}

/// Every second piece between backticks is code.
fn without_code_spans(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn only_links_to_files_count() {
    let text = "[a](docs/A.md#part) [b](https://example.com/x.md) `[c](no.md)` [d](#here)\n```\n[e](no.md)\n```\n![f](f.png \"F\")";
    assert_eq!(local_targets(text), ["docs/A.md", "f.png"]);
}
