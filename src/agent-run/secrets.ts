/**
 * Variables that carry or locate a secret, by upper-case name; `*` matches any characters. Collected from what agents on
 * laptops and in CI inherit. Other names are passed on.
 */
export const SECRET_NAMES: readonly string[] = [
  'AWS_*',
  'AZURE_*',
  'ARM_*',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'GOOGLE_CREDENTIALS',
  'CLOUDSDK_AUTH_*',
  'GITHUB_TOKEN',
  'GH_TOKEN',
  'OPENAI_API_KEY',
  'ANTHROPIC_API_KEY',
  'KUBECONFIG',
  'DOCKER_AUTH_CONFIG',
  'DATABASE_URL',
  'PGPASSWORD',
  'PGPASSFILE',
  'MYSQL_PWD',
  'REDISCLI_AUTH',
  'NETRC',
  'TOKEN',
  'SECRET',
  'PASSWORD',
  'API_KEY',
  '*_API_KEY',
  '*_APIKEY',
  '*_ACCESS_KEY',
  '*_SECRET_KEY',
  '*_PRIVATE_KEY',
  '*_ENCRYPTION_KEY',
  '*_SIGNING_KEY',
  '*_TOKEN',
  '*_PAT',
  '*_SECRET',
  '*_PASSWORD',
  '*_PASSWD',
  '*_PASSPHRASE',
  '*_CREDENTIALS',
  '*_DATABASE_URL',
  '*_CONNECTION_STRING',
];

/** Variables that a run sets for its command; those of an outer run are never passed on. */
export const RUN_VARIABLES: readonly string[] = [
  'REMIT_TASK_ID',
  'REMIT_TOKEN',
  'REMIT_TOKEN_URL',
  'REMIT_TOKEN_URL_AUTH',
  'REMIT_TOKEN_FILE',
  'REMIT_MCP_SERVERS',
];

/** Those of its forwarders. */
const FORWARD_VARIABLE = /^REMIT_FORWARD_/;

/** An environment that is safe to pass to a command. */
export interface Scrubbed {
  readonly environment: Readonly<Record<string, string>>;
  /** Names of the removed secrets, sorted; never a value. */
  readonly removed: readonly string[];
}

/** Removes the variables in `SECRET_NAMES` and those of an outer run. */
export function scrubbed(
  environment: Readonly<Record<string, string | undefined>>,
  { scrub, keep }: { readonly scrub: boolean; readonly keep: ReadonlySet<string> },
): Scrubbed {
  const kept: [string, string][] = [];
  const removed: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || RUN_VARIABLES.includes(name) || FORWARD_VARIABLE.test(name)) continue;
    if (scrub && !keep.has(name) && isSecretName(name)) removed.push(name);
    else kept.push([name, value]);
  }
  return { environment: Object.fromEntries(kept), removed: removed.toSorted() };
}

const patterns = SECRET_NAMES.map((name) => new RegExp(`^${name.replaceAll('*', '.*')}$`, 's'));

const isSecretName = (name: string): boolean => patterns.some((pattern) => pattern.test(name.toUpperCase()));
