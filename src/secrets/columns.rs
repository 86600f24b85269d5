//! Every column that holds sealed texts.

/// A column of sealed texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The table.
    pub table: &'static str,
    /// The column that identifies a row; a text.
    pub id: &'static str,
    /// The column with the sealed texts, or nothing.
    pub column: &'static str,
    /// The column that counts the changes of a row, if there is one.
    pub version: Option<&'static str>,
}

impl Column {
    const fn of(table: &'static str, column: &'static str) -> Self {
        Self { table, id: "id", column, version: None }
    }

    /// For a table whose rows are written as a whole by who proves the version: what was read before a change of keys must not be
    /// written back after it.
    const fn counted(self) -> Self {
        Self { version: Some("version"), ..self }
    }

    /// Returns where a text of the column is sealed for.
    pub fn place(&self, id: &str) -> String {
        format!("{}:{id}:{}", self.table, self.column)
    }
}

/// The columns of all subjects.
pub const SEALED: &[Column] = &[
    Column::of("work_order_systems", "api_key").counted(),
    Column::of("work_order_systems", "password").counted(),
    // Answers may hold what is shown only once.
    Column { id: "claim_id", ..Column::of("idempotency_keys", "sealed_answer") },
];
