import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { configFrom, configProblemText } from '../config.ts';
import { isDeny } from '../decision/decision.ts';
import { spiffeIdFrom } from '../identity/spiffe-id.ts';
import { declarationFrom } from '../run/declaration.ts';
import type { Declaration } from '../run/declaration.ts';
import { DURATION_RULE, secondsFrom } from '../run/duration.ts';
import { intentFileFrom } from '../run/intent.ts';
import type { IssuerPlace } from '../run/issuer-call.ts';
import { isProblem } from '../token/members.ts';
import type { CommandIo } from './command.ts';
import { excerptOf } from './excerpt.ts';
import { isRefusal, type Refusal, refusal } from './task-source.ts';

/** Options of the commands that declare an intent: what, where, and as whom. */
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
} as const;

/** The part of their help that these commands share. */
export const issuerHelp = `  --intent FILE     what the task is for and what it may do, YAML or JSON: \`purpose\`, \`access\` (a list of \`resource\`,
                    \`actions\` and \`constraints\`) and \`expires_in\`
  --resource URL    which of its resources, where the intent names several
  --ttl DURATION    the longest the task may take, instead of \`expires_in\`: 90s, 15m, 2h
  --issuer URL      the issuer, such as https://localhost:9472
  --issuer-id ID    its SPIFFE ID; without it the certificate must be for the host of the URL
  --svid-cert FILE  the SVID of this workload, its key, and the bundle the issuer is verified against: PEM files, read
  --svid-key FILE   anew for each request, so that whatever renews them needs to tell nobody
  --bundle FILE
  --config FILE     take issuer and SVID from \`issuer.url\` and \`svid\` of a configuration, where no option names them`;

type Values = { readonly [Name in keyof typeof issuerOptions]?: string | undefined };

/** Which issuer is asked and as whom, or what is missing. Paths are made absolute. */
export async function issuerFrom(values: Values, io: Pick<CommandIo, 'environment'>): Promise<IssuerPlace | Refusal> {
  const configured = values.config === undefined ? null : await configuredIssuer(values.config, io);
  if (isRefusal(configured)) return configured;
  const url = (values.issuer ?? configured?.url ?? '').replace(/\/$/, '');
  const files = {
    certificate: values['svid-cert'] ?? configured?.svid?.certificate,
    key: values['svid-key'] ?? configured?.svid?.key,
    bundle: values.bundle ?? configured?.svid?.bundle,
  };
  if (url === '') return refusal('--issuer URL is required, or --config with an `issuer.url`');
  if (!isHttps(url)) return refusal(`--issuer \`${url}\` must be an https: URL without query and fragment`);
  const { certificate, key, bundle } = files;
  if (certificate === undefined || key === undefined || bundle === undefined) {
    return refusal('--svid-cert, --svid-key and --bundle are required, or --config with an `svid`');
  }
  const id = values['issuer-id'] === undefined ? null : spiffeIdFrom(values['issuer-id']);
  if (isDeny(id)) return refusal(`--issuer-id: ${id.detail}`);
  return { url, id, svid: { certificate: resolve(certificate), key: resolve(key), bundle: resolve(bundle) } };
}

function isHttps(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, search, hash, username } = new URL(url);
  return protocol === 'https:' && search === '' && hash === '' && username === '';
}

type Svid = IssuerPlace['svid'];

async function configuredIssuer(
  name: string,
  io: Pick<CommandIo, 'environment'>,
): Promise<{ readonly url: string | null; readonly svid: Svid | null } | Refusal> {
  const file = resolve(name);
  const text = await textOf(file, 'the configuration');
  if (isRefusal(text)) return text;
  const read = configFrom(text, { file, folder: dirname(file), environment: io.environment });
  if ('problems' in read) return refusal(read.problems.map(configProblemText).join('\n'));
  return { url: read.value.issuer?.url ?? null, svid: read.value.svid };
}

/** What is declared: the intent file with the options that change it. */
export async function declaredFrom(values: Values, nowMs: number): Promise<Declaration | Refusal> {
  const { intent: file, resource = null, ttl } = values;
  if (file === undefined) return refusal('--intent FILE is required');
  const ttlSeconds = ttl === undefined ? null : secondsFrom(ttl);
  if (ttl !== undefined && ttlSeconds === null) return refusal(`--ttl must be ${DURATION_RULE}`);
  const text = await textOf(file, 'the intent');
  if (isRefusal(text)) return text;
  const intent = intentFileFrom(text, file);
  if ('findings' in intent) {
    const lines = intent.findings.flatMap((finding) => [
      `${file}:${finding.line}:${finding.column}: ${finding.message}${finding.help === null ? '' : `; ${finding.help}`}`,
      ...excerptOf(text, finding),
    ]);
    return refusal(lines.join('\n'));
  }
  const declaration = declarationFrom(intent, { resource, ttlSeconds, nowMs });
  return isProblem(declaration) ? refusal(declaration.problem) : declaration;
}

const textOf = (file: string, what: string): Promise<string | Refusal> =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) =>
    refusal(`${what} \`${file}\` cannot be read: ${error.code ?? 'unknown error'}`),
  );
