import { join } from 'node:path';
import type { AttemptToTry } from './attempts.ts';

/** Addresses and files of a domain, for commands. */
export interface TryAt {
  /** Contains the certificates and the bundle. */
  readonly folder: string;
  readonly issuer: string;
  readonly envoyPort: number;
  /** Base file name of each agent, by SPIFFE ID. */
  readonly files: ReadonlyMap<string, string>;
}

/** A text in single quotes, for a shell. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** The outcome of a trial in one line. */
export function titleOf({ agent, action, denied }: AttemptToTry): string {
  const what =
    denied === null ? 'allowed' : denied === 'invalid_authorization_details' ? 'not granted' : `denied: ${denied}`;
  return `${agent}, \`${action.id}\`: ${what}`;
}

/**
 * The commands of a trial: the token if it needs one, and the call through Envoy. A body that is not text goes to a file;
 * `files` has names and bytes.
 *
 * @param number of the trial, from 1
 */
export function commandsFor(
  trial: AttemptToTry,
  at: TryAt,
  number: number,
): { readonly commands: readonly string[]; readonly files: ReadonlyMap<string, Uint8Array> } {
  const { call, action, isInTask, denied } = trial;

  const as = optionsOf(trial, at);
  const details = [
    { type: 'urn:remit:task', locations: [action.server.audience], actions: [action.id], purpose: trial.purpose },
  ];
  const ask = [
    `curl -sS ${as} ${at.issuer}/oauth/token`,
    `-d grant_type=client_credentials --data-urlencode ${quoted(`resource=${action.server.audience}`)}`,
    `--data-urlencode ${quoted(`authorization_details=${JSON.stringify(details)}`)}`,
  ].join(' \\\n    ');
  if (denied === 'invalid_authorization_details') return { commands: [ask], files: new Map() };
  const { body, files } = bodyOf(call.body, join(at.folder, `call-${number}.bin`));
  const { host, port } = hostOf(call.url);
  const use = [
    `curl -sS ${action.kind === 'grpc' ? '--http2 -D - -o /dev/null' : '-i'} ${as}`,
    `--connect-to ${host}:${port}:127.0.0.1:${at.envoyPort}${call.method === 'GET' ? '' : ` -X ${quoted(call.method)}`} ${quoted(call.url)}`,
    ...call.headers.map(([header, value]) => `-H ${quoted(`${header}: ${value}`)}`),
    ...(isInTask ? ['-H "authorization: Bearer $TOKEN"'] : []),
    ...body,
  ].join(' \\\n    ');
  const token = `TOKEN=$(${ask} | sed -n 's/.*"access_token":"\\([^"]*\\)".*/\\1/p')`;
  return { commands: isInTask ? [token, use] : [use], files };
}

/** The options of curl that present the agent's SVID. */
function optionsOf({ agent }: AttemptToTry, { files, folder }: TryAt): string {
  const name = files.get(agent) ?? '';
  return ['--cacert bundle.pem', `--cert ${name}.pem`, `--key ${name}.key`]
    .map((option) => option.replace(' ', ` ${folder}/`))
    .join(' ');
}

/**
 * How an OAuth client finds the issuer from a call without a token, signs in with a scope alone if policies permit that, and renews its token.
 */
export function signInCommands(trial: AttemptToTry, at: TryAt): readonly string[] {
  const curl = `curl -sS ${optionsOf(trial, at)}`;
  const { host, port } = hostOf(trial.call.url);
  const { action } = trial;
  return [
    [
      `${curl} -o /dev/null -D - --connect-to ${host}:${port}:127.0.0.1:${at.envoyPort}`,
      `${quoted(trial.call.url)} | grep -i ^www-authenticate`,
    ].join(' \\\n    '),
    `${curl} ${at.issuer}/.well-known/oauth-authorization-server`,
    [
      `${curl} ${at.issuer}/oauth/token -d grant_type=client_credentials`,
      `--data-urlencode ${quoted(`resource=${action.server.audience}`)}`,
      `--data-urlencode ${quoted(`scope=${action.id}`)} | tee ${at.folder}/token.json`,
    ].join(' \\\n    '),
    [
      `${curl} ${at.issuer}/oauth/token -d grant_type=refresh_token`,
      `-d "refresh_token=$(sed -n 's/.*"refresh_token":"\\([^"]*\\)".*/\\1/p' ${at.folder}/token.json)"`,
    ].join(' \\\n    '),
  ];
}

function hostOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}

function bodyOf(
  body: Uint8Array | null,
  file: string,
): { readonly body: readonly string[]; readonly files: ReadonlyMap<string, Uint8Array> } {
  if (body === null) return { body: [], files: new Map() };
  const text = Buffer.from(body).toString('utf8');
  const isText = Buffer.from(text).equals(Buffer.from(body)) && /^\P{Cc}*$/u.test(text);
  return isText
    ? { body: [`--data-raw ${quoted(text)}`], files: new Map() }
    : { body: [`--data-binary @${file}`], files: new Map([[file, body]]) };
}
