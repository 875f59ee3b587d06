/**
 * Version 7: the public keys of the authorities. A private key is refused, a key does not change, and a revoked key stays revoked.
 */
export const KEYS_SCHEMA = `
CREATE TABLE signing_keys (
  kid text PRIMARY KEY CHECK (length(kid) BETWEEN 1 AND 64),
  replica uuid NOT NULL,
  jwk text NOT NULL CHECK (length(jwk) <= 2048 AND NOT jwk::jsonb ?| ARRAY['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']),
  published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  revoked_at timestamptz
);
CREATE TRIGGER signing_keys_stay BEFORE UPDATE ON signing_keys FOR EACH ROW
  WHEN (OLD.revoked_at IS NOT NULL OR NEW.kid <> OLD.kid OR NEW.jwk <> OLD.jwk OR NEW.replica <> OLD.replica)
  EXECUTE FUNCTION refuse('a key does not change, and a revoked one stays revoked');
`;
