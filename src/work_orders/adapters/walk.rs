//! From page to page to the end.

use std::collections::HashSet;

use super::{Adapter, Connection, Error, Page, PageToken, Window};

/// Reads the pages of one list, each once.
pub struct Walk<'a> {
    adapter: &'a dyn Adapter,
    connection: &'a Connection,
    window: Window,
    next: Next,
    used: HashSet<PageToken>,
}

enum Next {
    First,
    Page(PageToken),
    End,
}

impl<'a> Walk<'a> {
    /// Begins before the first page.
    pub fn new(adapter: &'a dyn Adapter, connection: &'a Connection, window: impl Into<Window>) -> Self {
        let window = window.into();
        Self { adapter, connection, window, next: Next::First, used: HashSet::new() }
    }

    /// Reads the next page; `None` after the last. After an error the same page is read again.
    ///
    /// # Errors
    /// [`Error`] of the adapter.
    pub async fn next_page(&mut self) -> Result<Option<Page>, Error> {
        let token = match &self.next {
            Next::First => None,
            Next::Page(token) => Some(token),
            Next::End => return Ok(None),
        };
        let mut page = self.adapter.list_since(self.connection, self.window, token).await?;
        if let Some(token) = page.next.take_if(|token| !self.used.insert(token.clone())) {
            // Seen in the wild: the same token, and with it the same page, for ever.
            tracing::warn!(system = %self.connection.name, token = %token.0, "a page token came twice, the list ends here");
        }
        self.next = page.next.clone().map_or(Next::End, Next::Page);
        Ok(Some(page))
    }
}
