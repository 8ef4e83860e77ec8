"""Numbered migrations: entry n brings a store of version n to n + 1. Never change one that was released; append."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE vims (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE vnf_packages (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, vnfd_id TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX vnf_packages_vnfd ON vnf_packages (vnfd_id);
    CREATE TABLE nsds (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, nsd_id TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX nsds_nsd ON nsds (nsd_id);
    CREATE TABLE vnf_instances (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, vnf_pkg_id TEXT NOT NULL, ns_id TEXT NOT NULL,
        doc BLOB NOT NULL);
    CREATE INDEX vnf_instances_pkg ON vnf_instances (vnf_pkg_id);
    CREATE INDEX vnf_instances_ns ON vnf_instances (ns_id);
    CREATE TABLE ns_instances (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, nsd_info_id TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX ns_instances_nsd ON ns_instances (nsd_info_id);
    CREATE TABLE operations (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
        state TEXT NOT NULL, parent TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX operations_subject ON operations (subject, state);
    CREATE INDEX operations_state ON operations (state);
    CREATE INDEX operations_parent ON operations (parent);
    CREATE TABLE steps (
        operation TEXT NOT NULL, key TEXT NOT NULL, doc BLOB NOT NULL, PRIMARY KEY (operation, key)) WITHOUT ROWID;
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, subject TEXT NOT NULL, operation TEXT NOT NULL,
        doc BLOB NOT NULL);
    CREATE INDEX events_subject ON events (subject, seq);
    CREATE INDEX events_operation ON events (operation, seq);
    """,
    """
    CREATE TABLE notifications_subscriptions (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, api TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX notifications_subscriptions_api ON notifications_subscriptions (api, tenant);
    CREATE TABLE notifications_messages (
        number INTEGER PRIMARY KEY AUTOINCREMENT, event INTEGER NOT NULL, api TEXT NOT NULL, tenant TEXT NOT NULL,
        doc BLOB NOT NULL);
    CREATE INDEX notifications_messages_api ON notifications_messages (api, tenant, number);
    CREATE TABLE notifications_progress (
        subscription TEXT PRIMARY KEY, position INTEGER NOT NULL, failing_since TEXT NOT NULL, error TEXT NOT NULL,
        parked_at TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE notifications_captured (one INTEGER PRIMARY KEY CHECK (one = 1), event INTEGER NOT NULL);
    """,
    """
    CREATE TABLE vnf_snapshots (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, vnf_instance_id TEXT NOT NULL,
        doc BLOB NOT NULL);
    CREATE INDEX vnf_snapshots_vnf ON vnf_snapshots (vnf_instance_id);
    """,
    """
    CREATE TABLE alarms (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, scope TEXT NOT NULL, vnf_id TEXT NOT NULL,
        standing TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX alarms_standing ON alarms (standing, vnf_id);
    CREATE INDEX alarms_scope ON alarms (scope, tenant);
    """,
    """
    CREATE TABLE mec_apps (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE mec_services (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, app TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE mec_rules (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, app TEXT NOT NULL, kind TEXT NOT NULL,
        doc BLOB NOT NULL);
    CREATE INDEX mec_rules_app ON mec_rules (app, kind);
    """,
    """
    CREATE TABLE pnfds (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, pnfd_id TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX pnfds_pnfd ON pnfds (pnfd_id);
    CREATE TABLE grants (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, operation TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX grants_operation ON grants (operation, tenant);
    CREATE TABLE coordinations (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE vnf_snapshot_packages (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE capacity_thresholds (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    """,
    """
    CREATE TABLE pm_jobs (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, api TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE pm_thresholds (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, api TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE pm_values (number INTEGER PRIMARY KEY, job TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX pm_values_job ON pm_values (job, number);
    CREATE TABLE pm_reports (
        id TEXT PRIMARY KEY, job TEXT NOT NULL, ready_at TEXT NOT NULL, expires_at TEXT NOT NULL,
        size_bytes INTEGER NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX pm_reports_job ON pm_reports (job, ready_at);
    CREATE TABLE pm_crossings (
        threshold TEXT NOT NULL, part TEXT NOT NULL, direction TEXT NOT NULL, PRIMARY KEY (threshold, part))
        WITHOUT ROWID;
    CREATE TABLE vnf_indicators (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE vnf_configurations (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE quota_shortages (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, vim TEXT NOT NULL, doc BLOB NOT NULL);
    """,
    """
    CREATE TABLE app_packages (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, app_d_id TEXT NOT NULL, master TEXT NOT NULL,
        doc BLOB NOT NULL);
    CREATE INDEX app_packages_appd ON app_packages (app_d_id);
    CREATE TABLE app_instances (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, app_pkg_id TEXT NOT NULL, ns_id TEXT NOT NULL,
        doc BLOB NOT NULL);
    CREATE INDEX app_instances_pkg ON app_instances (app_pkg_id);
    CREATE INDEX app_instances_ns ON app_instances (ns_id);
    CREATE TABLE mec_hosts (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, zone TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE app_grants (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, app_instance_id TEXT NOT NULL,
        doc BLOB NOT NULL);
    """,
    """
    ALTER TABLE vnf_instances ADD COLUMN created_at TEXT NOT NULL DEFAULT '';
    ALTER TABLE vnf_instances ADD COLUMN vnf_instance_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE vnf_instances ADD COLUMN vnfd_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE vnf_instances ADD COLUMN vnf_provider TEXT NOT NULL DEFAULT '';
    ALTER TABLE vnf_instances ADD COLUMN vnf_product_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE vnf_instances ADD COLUMN vnf_software_version TEXT NOT NULL DEFAULT '';
    ALTER TABLE vnf_instances ADD COLUMN vnfd_version TEXT NOT NULL DEFAULT '';
    ALTER TABLE vnf_instances ADD COLUMN instantiation_state TEXT NOT NULL DEFAULT '';
    UPDATE vnf_instances SET
        created_at = coalesce(json_extract(CAST(doc AS TEXT), '$.created_at'), ''),
        vnf_instance_name = coalesce(json_extract(CAST(doc AS TEXT), '$.vnf_instance_name'), ''),
        vnfd_id = coalesce(json_extract(CAST(doc AS TEXT), '$.vnfd_id'), ''),
        vnf_provider = coalesce(json_extract(CAST(doc AS TEXT), '$.vnf_provider'), ''),
        vnf_product_name = coalesce(json_extract(CAST(doc AS TEXT), '$.vnf_product_name'), ''),
        vnf_software_version = coalesce(json_extract(CAST(doc AS TEXT), '$.vnf_software_version'), ''),
        vnfd_version = coalesce(json_extract(CAST(doc AS TEXT), '$.vnfd_version'), ''),
        instantiation_state = coalesce(json_extract(CAST(doc AS TEXT), '$.instantiation_state'), 'NOT_INSTANTIATED');
    CREATE INDEX vnf_instances_listed ON vnf_instances (
        tenant, created_at, id, vnf_instance_name, vnfd_id, vnf_provider, vnf_product_name,
        vnf_software_version, vnfd_version, instantiation_state);
    """,
    """
    CREATE TABLE dataplane (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    """,
    """
    CREATE TABLE stored_images (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE UNIQUE INDEX stored_images_name ON stored_images (tenant, name);
    CREATE TABLE key_pairs (
        id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, name TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE UNIQUE INDEX key_pairs_name ON key_pairs (tenant, name);
    """,
    """
    CREATE TABLE dns_zones (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    """,
    """
    ALTER TABLE alarms ADD COLUMN managed_object TEXT NOT NULL DEFAULT '';
    ALTER TABLE alarms ADD COLUMN key TEXT NOT NULL DEFAULT '';
    ALTER TABLE alarms ADD COLUMN acknowledged_at TEXT NOT NULL DEFAULT '';
    ALTER TABLE alarms ADD COLUMN proposed TEXT NOT NULL DEFAULT '';
    UPDATE alarms SET
        managed_object = coalesce(json_extract(CAST(doc AS TEXT), '$.managed_object'), ''),
        key = coalesce(json_extract(CAST(doc AS TEXT), '$.faulty.key'), ''),
        acknowledged_at = coalesce(json_extract(CAST(doc AS TEXT), '$.acknowledged_at'), '')
        WHERE json_valid(CAST(doc AS TEXT));
    """,
    """
    CREATE TABLE tenant_quotas (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE TABLE quota_claims (id TEXT PRIMARY KEY, rev INTEGER NOT NULL, tenant TEXT NOT NULL, doc BLOB NOT NULL);
    CREATE INDEX quota_claims_tenant ON quota_claims (tenant);
    """,
)
