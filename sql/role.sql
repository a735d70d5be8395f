-- Creates the role that `walcast run` connects as, with all that it needs and nothing more. Can be run twice.
--   psql -d app -v role=walcast -f sql/role.sql
-- Then set its password (\password walcast in psql) and admit it in pg_hba.conf:
--   host  app  walcast  10.0.0.0/8  scram-sha-256
-- `walcast init` is run by whoever owns the tables and may create publications: a superuser, or an owner with
--   GRANT CREATE ON DATABASE app TO owner; ALTER ROLE owner REPLICATION;
\if :{?role}
\else
    \set role walcast
\endif
SELECT format('CREATE ROLE %I LOGIN REPLICATION', :'role')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN REPLICATION;
-- For `walcast bootstrap` and /bootstrap it also reads the tables: GRANT SELECT ON TABLE ... TO walcast; where they have policies
-- (row-level security), ALTER ROLE walcast BYPASSRLS.
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), :'role') \gexec
