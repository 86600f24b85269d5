-- Who shares the installation.
CREATE TABLE tenants (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    disabled_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    version INTEGER NOT NULL
);

-- The first tenant, and those that have had tokens before there was this table.
INSERT INTO tenants (tenant_id, name, created_at, updated_at, version)
VALUES ('default', 'default', '2026-11-22T00:00:00+00:00', '2026-11-22T00:00:00+00:00', 1);

INSERT INTO tenants (tenant_id, name, created_at, updated_at, version)
SELECT tenant_id, tenant_id, min(created_at), min(created_at), 1 FROM api_tokens
WHERE tenant_id <> 'default' GROUP BY tenant_id;

-- People. A name is one person in the whole installation, so that it signs in without naming a tenant; tenant_id is the tenant in which
-- the person acts unless another is asked for. No password: who signs in elsewhere.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    email TEXT,
    phone TEXT,
    zone TEXT NOT NULL,
    locale TEXT NOT NULL,
    disabled_at TEXT,
    password_hash TEXT,
    must_change_password BOOLEAN NOT NULL,
    subject TEXT,
    last_login_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    version INTEGER NOT NULL
);

CREATE UNIQUE INDEX users_name ON users (name);
-- Who they are for the provider of sign-ins, whatever their name there becomes.
CREATE UNIQUE INDEX users_subject ON users (subject);

CREATE TABLE memberships (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

CREATE INDEX memberships_of_user ON memberships (user_id, tenant_id);

-- The roles that a tenant made for its desk, beside the built-in ones. scopes: separated by spaces.
CREATE TABLE roles (
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    description TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name)
);

-- Who has which role. business_id: the business for which it counts; empty, so that it can be unique, for all of them.
CREATE TABLE role_grants (
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    role TEXT NOT NULL,
    business_id TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, role, business_id)
);

CREATE INDEX role_grants_by_role ON role_grants (tenant_id, role, business_id, user_id);

-- Who made a token.
ALTER TABLE api_tokens ADD COLUMN created_by TEXT;

-- People who signed in with a browser; only the hash of what the browser keeps. tenant_id: where they act unless a request says otherwise.
CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    hash TEXT NOT NULL,
    address TEXT,
    user_agent TEXT,
    created_at TEXT NOT NULL,
    last_used_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
);

CREATE UNIQUE INDEX sessions_hash ON sessions (hash);
CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Failed sign-ins, by hashed name and by address. They belong to no tenant: who knocks has not said for which. kind: account, address.
CREATE TABLE login_failures (
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    failures INTEGER NOT NULL,
    last_at TEXT NOT NULL,
    PRIMARY KEY (kind, place)
);

CREATE INDEX login_failures_by_age ON login_failures (last_at);

-- Answers of the provider of sign-ins that were used: each starts one session.
CREATE TABLE login_states (
    hash TEXT NOT NULL PRIMARY KEY,
    used_at TEXT NOT NULL
);

CREATE INDEX login_states_by_age ON login_states (used_at);
