//! HTML: text that cannot become markup.

use std::fmt;

/// Prints with every character that has a meaning in HTML, inside an element or a quoted attribute, replaced.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let mut chars = piece.chars();
            let entity = match chars.next_back() {
                Some('&') => "&amp;",
                Some('<') => "&lt;",
                Some('>') => "&gt;",
                Some('"') => "&quot;",
                Some('\'') => "&#39;",
                Some(_) | None => {
                    out.write_str(piece)?;
                    continue;
                }
            };
            out.write_str(chars.as_str())?;
            out.write_str(entity)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        let hostile = "<script>alert('1')</script> & \"x\" <";
        let expected = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot; &lt;";
        assert_eq!(Escaped(hostile).to_string(), expected);
        assert_eq!(Escaped("").to_string(), "");
    }
}
