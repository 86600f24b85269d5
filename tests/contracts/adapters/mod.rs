//! What every adapter must do: one suite over all members of the rack, each with a fake of its system. What only one of them
//! does is in the file of its name.

mod edit;
mod jira;
mod list;
mod ranges;
mod redmine;
mod rest;
mod zendesk;
