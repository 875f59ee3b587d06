/** A static secret in a call, with its agent and action. Never the secret itself. */
export interface SeenSecret {
  /** Digest of the secret, from `digestOf`. */
  readonly digest: string;
  readonly kind: string;
  /** `header authorization`, `query api_key` */
  readonly place: string;
  readonly agent: string;
  /** Id of the action in the catalog; `''` if there is none. */
  readonly action: string;
}

/** A sighting to be written, and how often the secret was seen since the last write. */
export interface DueSecret {
  readonly secret: SeenSecret;
  readonly times: number;
}

/** How often a secret was seen with one agent at one action. */
export interface SecretSighting extends SeenSecret {
  /** Milliseconds since the Unix epoch, accurate to a minute. */
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  readonly count: number;
}

/** Reads a row of the table of either store. */
export const sightingFrom = (row: Readonly<Record<string, unknown>>): SecretSighting => ({
  digest: String(row['digest']),
  agent: String(row['agent']),
  action: String(row['action']),
  kind: String(row['kind']),
  place: String(row['place']),
  firstSeenMs: Number(row['first_seen_ms']),
  lastSeenMs: Number(row['last_seen_ms']),
  count: Number(row['count']),
});
