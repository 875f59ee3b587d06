/**
 * Variables that carry a secret or point at one, by their names in upper case; `*` stands for any characters. The list is
 * what agents on laptops and in CI were found to inherit; a name that is not here is passed on.
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
];

/** An environment that can be handed to a command. */
export interface Scrubbed {
  readonly environment: Readonly<Record<string, string>>;
  /** Names of the secrets that were left out, sorted; never a value. */
  readonly removed: readonly string[];
}

/** The environment without the variables that `SECRET_NAMES` lists and without those of an outer run. */
export function scrubbed(
  environment: Readonly<Record<string, string | undefined>>,
  { scrub, keep }: { readonly scrub: boolean; readonly keep: ReadonlySet<string> },
): Scrubbed {
  const kept: [string, string][] = [];
  const removed: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || RUN_VARIABLES.includes(name)) continue;
    if (scrub && !keep.has(name) && isSecretName(name)) removed.push(name);
    else kept.push([name, value]);
  }
  return { environment: Object.fromEntries(kept), removed: removed.toSorted() };
}

const patterns = SECRET_NAMES.map((name) => new RegExp(`^${name.replaceAll('*', '.*')}$`, 's'));

const isSecretName = (name: string): boolean => patterns.some((pattern) => pattern.test(name.toUpperCase()));
