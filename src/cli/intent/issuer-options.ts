import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { SourceFinding } from '../../core/action/catalog/finding.ts';
import { configFrom, configProblemText } from '../../core/config/config.ts';
import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import { type SvidSettings, svidSettingsFrom } from '../../core/identity/svid-settings.ts';
import { workloadApiTargetFrom } from '../../core/identity/workload-api-address.ts';
import { oauthDeclarationFrom } from '../../agent/task/declaration.ts';
import type { OAuthDeclaration } from '../../agent/task/declaration.ts';
import { DURATION_RULE, secondsFrom } from '../../agent/run/duration.ts';
import { type IntentFile, intentFileFrom } from '../../agent/task/intent.ts';
import type { IssuerPlace } from '../../agent/task/issuer-call.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { CommandIo } from '../command.ts';
import { excerptOf, textWithLines } from '../policy/excerpt.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

/** Options of commands that declare an intent: the intent, the issuer and the identity. */
export const issuerOptions = {
  intent: { type: 'string' },
  resource: { type: 'string' },
  ttl: { type: 'string' },
  config: { type: 'string', short: 'c' },
  issuer: { type: 'string' },
  'issuer-id': { type: 'string' },
  'svid-cert': { type: 'string' },
  'svid-key': { type: 'string' },
  bundle: { type: 'string' },
  'workload-api': { type: 'string' },
  'svid-id': { type: 'string' },
} as const;

/** The help for the life of a task, the issuer and the identity. */
export const placeHelp = `  --ttl DURATION    the longest duration of the task, instead of \`expires_in\`: 90s, 15m, 2h
  --issuer URL      the issuer, such as https://localhost:9472
  --issuer-id ID    its SPIFFE ID; without it the certificate must be for the host of the URL
  --svid-cert FILE  the SVID of this workload, its key, and the bundle that verifies the issuer: PEM files, which
  --svid-key FILE   are watched and read again when they are renewed
  --bundle FILE
  --workload-api A  the SPIFFE Workload API instead, such as unix:/run/spire/agent.sock; default SPIFFE_ENDPOINT_SOCKET
  --svid-id ID      with the Workload API: the SPIFFE ID of the SVID to use, if this workload has several
  --config FILE     take issuer and SVID from \`issuer.url\` and \`svid\` of a configuration, unless other options name them`;

/** The help for `issuerOptions`. */
export const issuerHelp = `  --intent FILE     what the task is for and what it may do, YAML or JSON: \`purpose\`, \`access\` (a list of \`resource\`,
                    \`actions\` and \`constraints\`) and \`expires_in\`
  --resource URL    the resource to get a token for, if the intent names several
${placeHelp}`;

type Values = { readonly [Name in keyof typeof issuerOptions]?: string | undefined };

/** The issuer and the identity that the options name, with absolute paths; a refusal says what is missing. */
export async function issuerFrom(
  values: Values,
  io: Pick<CommandIo, 'environment'>,
): Promise<IssuerPlace | CommandRefusal> {
  const configured = values.config === undefined ? null : await configuredIssuer(values.config, io);
  if (isCommandRefusal(configured)) return configured;
  const url = (values.issuer ?? configured?.url ?? '').replace(/\/$/, '');
  if (url === '') return taskRefusal('--issuer URL is required, or --config with an `issuer.url`');
  if (!isHttps(url)) return taskRefusal(`--issuer \`${url}\` must be an https: URL without query and fragment`);
  const id = values['issuer-id'] === undefined ? null : spiffeIdFrom(values['issuer-id']);
  if (isDeny(id)) return taskRefusal(`--issuer-id: ${id.detail}`);
  const svid = svidFrom(values, { configured: configured?.svid ?? null, io });
  return isCommandRefusal(svid) ? svid : { url, id, svid };
}

/** The SVID named by options, else by the configuration, else by SPIFFE_ENDPOINT_SOCKET. */
function svidFrom(
  values: Values,
  other: { readonly configured: SvidSettings | null; readonly io: Pick<CommandIo, 'environment'> },
): SvidSettings | CommandRefusal {
  const { 'svid-cert': certificate, 'svid-key': key, bundle, 'workload-api': api } = values;
  const named = [certificate, key, bundle].filter((file) => file !== undefined);
  const hasOwn = named.length > 0 || api !== undefined || values['svid-id'] !== undefined;
  if (!hasOwn && other.configured !== null) return other.configured;
  const address = api ?? (named.length === 0 ? other.io.environment['SPIFFE_ENDPOINT_SOCKET'] : undefined);
  const target = address === undefined ? null : workloadApiTargetFrom(address);
  if (isProblem(target)) return taskRefusal(`--workload-api: ${target.problem}`);
  const id = values['svid-id'] === undefined ? null : spiffeIdFrom(values['svid-id']);
  if (isDeny(id)) return taskRefusal(`--svid-id: ${id.detail}`);
  const settings = svidSettingsFrom({
    workloadApi: target,
    id,
    hint: null,
    certificate: pathOf(certificate),
    key: pathOf(key),
    bundle: pathOf(bundle),
  });
  if (!isProblem(settings)) return settings;
  if (id !== null) return taskRefusal('--svid-id goes with the Workload API: name it with --workload-api');
  return taskRefusal(
    '--svid-cert, --svid-key and --bundle are required, or --workload-api, or --config with an `svid`',
  );
}

const pathOf = (file: string | undefined): string | null => (file === undefined ? null : resolve(file));

function isHttps(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, search, hash, username } = new URL(url);
  return protocol === 'https:' && search === '' && hash === '' && username === '';
}

async function configuredIssuer(
  name: string,
  io: Pick<CommandIo, 'environment'>,
): Promise<{ readonly url: string | null; readonly svid: SvidSettings | null } | CommandRefusal> {
  const file = resolve(name);
  const text = await readTextFile(file, 'the configuration');
  if (isCommandRefusal(text)) return text;
  const read = configFrom(text, { file, folder: dirname(file), environment: io.environment });
  if ('problems' in read) return taskRefusal(read.problems.map(configProblemText).join('\n'));
  return { url: read.value.issuer?.url ?? null, svid: read.value.svid };
}

/** The declaration for one resource of the intent file; `--resource` and `--ttl` override what the file says. */
export async function declaredFrom(values: Values, nowMs: number): Promise<OAuthDeclaration | CommandRefusal> {
  const intent = await intentFromOptions(values);
  if (isCommandRefusal(intent)) return intent;
  return declarationFor(intent, { values, nowMs, resource: values.resource ?? null });
}

/** The declaration of an intent for one of its resources; `null` for the only resource. */
export function declarationFor(
  intent: IntentFile,
  { values: { ttl }, nowMs, resource }: DeclarationChoice,
): OAuthDeclaration | CommandRefusal {
  const ttlSeconds = ttl === undefined ? null : secondsFrom(ttl);
  if (ttl !== undefined && ttlSeconds === null) return taskRefusal(`--ttl must be ${DURATION_RULE}`);
  const declaration = oauthDeclarationFrom(intent, { resource, ttlSeconds, nowMs });
  return isProblem(declaration) ? taskRefusal(declaration.problem) : declaration;
}

interface DeclarationChoice {
  readonly values: Values;
  readonly nowMs: number;
  readonly resource: string | null;
}

/** The intent file that the options name. */
export async function intentFromOptions({ intent: file }: Values): Promise<IntentFile | CommandRefusal> {
  if (file === undefined) return taskRefusal('--intent FILE is required');
  const text = await readTextFile(file, 'the intent');
  if (isCommandRefusal(text)) return text;
  const intent = intentFileFrom(text, file);
  return 'findings' in intent ? taskRefusal(findingLines(intent.findings, { file, text })) : intent;
}

function findingLines(
  findings: readonly SourceFinding[],
  { file, text }: { readonly file: string; readonly text: string },
): string {
  const lines = findings.flatMap((finding) => [
    `${file}:${finding.line}:${finding.column}: ${finding.message}${finding.help === null ? '' : `; ${finding.help}`}`,
    ...excerptOf(textWithLines(text), finding),
  ]);
  return lines.join('\n');
}

const readTextFile = (file: string, what: string): Promise<string | CommandRefusal> =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) =>
    taskRefusal(`${what} \`${file}\` cannot be read: ${error.code ?? 'unknown error'}`),
  );
