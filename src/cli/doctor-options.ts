import { DURATION_RULE, secondsFrom } from '../agent/run/duration.ts';
import { CATEGORIES, codes, isCategory } from '../tools/doctor/codes.ts';
import type { Category } from '../tools/doctor/codes.ts';
import { adminAddressFrom } from '../tools/doctor/collect/admin-address.ts';
import type { AdminAddress } from '../tools/doctor/collect/admin-address.ts';
import { suppressionFrom } from '../tools/doctor/suppression.ts';
import type { CanaryCall } from '../tools/doctor/collect/canary.ts';
import type { Suppression } from '../tools/doctor/suppression.ts';
import { isProblem } from '../core/runtime/problem.ts';
import type { Problem } from '../core/runtime/problem.ts';
import { DOCTOR_MCP_HELP } from './doctor-mcp.ts';
import { DEFAULT_ADMIN } from './admin-answer.ts';
import { optionsFrom } from './options.ts';

/** Admin interfaces of Envoy: with the shipped configuration, in a pod of Istio, of Envoy Gateway, of Envoy's own examples. */
const DEFAULT_ENVOYS = ['unix:/run/remit-envoy/admin.sock', '127.0.0.1:15000', '127.0.0.1:19000', '127.0.0.1:9901'];

/** `remit doctor --help`. */
export const DOCTOR_HELP = `remit doctor: find why calls are not checked, or why none gets through

usage: remit doctor [--envoy ADDRESS] [-f PATH ...] [--canary URL] [--cluster NAME] [--config FILE] [--remit ADDRESS]
                    [-v] [-o text|json|junit]
                    [--only CATEGORY[,CATEGORY ...]] [--suppress CODE=WHERE ...] [--fail-level error|warning]
                    [--wait DURATION] [--bundle FILE]
       remit doctor --mcp URL [--policies FOLDER] [--server ID] [--reviewed FILE] [--cert FILE --key FILE] [--ca FILE] [--json]

  --envoy ADDRESS        the admin interface of Envoy, \`unix:/path\` or \`host:port\`; default the first that asks Remit, or else
                         the first of all, at ${DEFAULT_ENVOYS.map((one) => `\`${one}\``).join(', ')}
  -f, --file PATH        files of a host, or folders of them: an Envoy bootstrap, objects of Istio and Envoy Gateway, Istio's mesh
                         configuration, agentgateway, pods with Services and NetworkPolicies. Then Envoy is asked only with --envoy. Render templates first
  --canary URL           make a call without a token, and see whether Remit was asked; then Envoy is asked only with --envoy
    --connect-to ADDRESS   connect to this \`host:port\` instead of that of the URL
    --cert, --key, --ca FILE
                           certificate and key of an agent, and trust anchors, PEM
${DOCTOR_MCP_HELP}
  --cluster NAME         the cluster in Envoy that is Remit; default: found by its name, port or socket
  --config FILE          the configuration of Remit, whose sockets, certificates, policies and ledger are examined on this machine;
                         default \`/etc/remit/remit.yaml\`, if it exists
  --remit ADDRESS        the admin address of Remit; default that of its configuration. Alone, only that is examined
  -v, --verbose          also print findings of the level info
  -o text|json|junit     output format; --json and --junit for short. JSON: examined, not_examined, errors, warnings, infos, passed,
                         suppressed, unmatched_suppressions, checks; each check {category, title, findings}; each finding
                         {code, level, where, message, fix, see}
  --only CATEGORIES      ${CATEGORIES.join(', ')}
  --suppress CODE=WHERE  leave out this finding at this place; \`*\` in WHERE stands for any characters
  --fail-level warning   exit 2 if there are warnings and no errors
  --wait DURATION        examine again until nothing fails, at most so long: \`90s\`, \`2m\`
  --bundle FILE          write report and configuration to FILE (.tar.gz) for a bug report, without secrets; FILE must not exist

It only reads; --canary makes one call, --mcp lists tools. Each finding has a code, a place, a fix and a page.

codes:
${Array.from(codes, ([code, { about, level }]) => `  ${code.padEnd(32)} ${level.padEnd(8)} ${about}`).join('\n')}

  remit doctor
  remit doctor -f deploy/istio -f mesh.yaml
  remit doctor --envoy 127.0.0.1:15000 --fail-level warning --suppress 'envoy.xfcc-appended=listener/*'

exit codes: 0 no error, 1 errors, 2 warnings (with --fail-level warning), 3 bad use, or something could not be examined`;

const FORMATS = ['text', 'json', 'junit'] as const;

/** What `remit doctor` was asked to do. */
export interface DoctorOptions {
  /** Candidate addresses of Envoy's admin interface; one Envoy is examined. Empty if no Envoy is asked. */
  readonly envoys: readonly AdminAddress[];
  /** Files and folders of a host. */
  readonly files: readonly string[];
  readonly canary: CanaryCall | null;
  readonly remitCluster: string | null;
  /** The admin address of Remit; `null` for that of its configuration. */
  readonly remit: AdminAddress | null;
  /** The configuration of Remit; `null` for the default file, if it exists. */
  readonly config: string | null;
  readonly isVerbose: boolean;
  readonly format: (typeof FORMATS)[number];
  readonly only: ReadonlySet<Category> | null;
  readonly suppressions: readonly Suppression[];
  readonly failLevel: 'error' | 'warning';
  /** 0 to examine once. */
  readonly waitMs: number;
  /** A file that must not exist yet; `null` for none. */
  readonly bundle: string | null;
}

const flag = { type: 'boolean', default: false } as const;
const text = { type: 'string' } as const;

/** The options as they are written; one line that says what is wrong if they are not options of this command. */
const wordsFrom = (args: readonly string[]) =>
  optionsFrom(
    args,
    {
      envoy: text,
      file: { ...text, multiple: true, short: 'f', default: [] },
      canary: text,
      'connect-to': text,
      cert: text,
      key: text,
      ca: text,
      cluster: text,
      config: { ...text, short: 'c' },
      remit: text,
      verbose: { ...flag, short: 'v' },
      output: { ...text, short: 'o' },
      json: flag,
      junit: flag,
      only: text,
      suppress: { ...text, multiple: true, default: [] },
      'fail-level': { ...text, default: 'error' },
      wait: text,
      bundle: text,
    },
    0,
  );

/** Parses the words after `remit doctor`. */
export function doctorOptionsFrom(args: readonly string[]): DoctorOptions | Problem {
  const options = wordsFrom(args);
  if (typeof options === 'string') return { problem: options };
  const { values } = options;
  const isOffline = (values.file.length > 0 || values.canary !== undefined) && values.envoy === undefined;
  const envoys = isOffline ? [] : addressesFrom(values.envoy === undefined ? DEFAULT_ENVOYS : [values.envoy]);
  if (isProblem(envoys)) return envoys;
  const remit = values.remit === undefined ? null : adminAddressFrom(values.remit, 'a Remit');
  if (isProblem(remit)) return remit;
  const canary = canaryFrom(values, remit);
  if (isProblem(canary)) return canary;
  const format = formatFrom(values);
  if (isProblem(format)) return format;
  const only = values.only === undefined ? null : categoriesFrom(values.only);
  if (isProblem(only)) return only;
  const suppressions = values.suppress.map(suppressionFrom);
  const wrong = suppressions.find(isProblem);
  if (wrong !== undefined) return wrong;
  const failLevel = values['fail-level'];
  if (failLevel !== 'error' && failLevel !== 'warning')
    return { problem: `--fail-level is \`error\` or \`warning\`, got \`${failLevel}\`` };
  const seconds = values.wait === undefined ? 0 : secondsFrom(values.wait);
  if (seconds === null) return { problem: `--wait is ${DURATION_RULE}` };
  return {
    envoys,
    files: values.file,
    canary,
    remitCluster: values.cluster ?? null,
    remit,
    config: values.config ?? null,
    isVerbose: values.verbose,
    format,
    only,
    suppressions: suppressions.flatMap((one) => (isProblem(one) ? [] : [one])),
    failLevel,
    waitMs: seconds * 1_000,
    bundle: values.bundle ?? null,
  };
}

function addressesFrom(written: readonly string[]): readonly AdminAddress[] | Problem {
  const addresses = written.map((one) => adminAddressFrom(one));
  return addresses.find(isProblem) ?? addresses.flatMap((one) => (isProblem(one) ? [] : [one]));
}

/** Options of the canary call as written. */
interface CanaryWords {
  readonly canary?: string | undefined;
  readonly 'connect-to'?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
}

function canaryFrom(words: CanaryWords, remit: AdminAddress | null): CanaryCall | Problem | null {
  const { ca = null, canary, cert = null, 'connect-to': connectTo, key = null } = words;
  if (canary === undefined) {
    const without = ['connect-to', 'cert', 'key', 'ca'].find((name) => Object.hasOwn(words, name));
    return without === undefined ? null : { problem: `--${without} belongs to --canary` };
  }
  const url = URL.parse(canary);
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.username !== '')
    return { problem: '--canary is an `https:` URL without user and password' };
  if ((cert === null) !== (key === null)) return { problem: '--cert and --key belong together' };
  if (connectTo !== undefined && (!/:\d{1,5}$/.test(connectTo) || !URL.canParse(`https://${connectTo}`)))
    return { problem: `--connect-to is \`host:port\`, got \`${connectTo}\`` };
  const counted = remit ?? adminAddressFrom(DEFAULT_ADMIN, 'a Remit');
  if (isProblem(counted)) return counted;
  return {
    url,
    connectTo: connectTo ?? null,
    files: { cert, key, ca },
    remit: counted,
  };
}

function formatFrom({
  json,
  junit,
  output,
}: {
  readonly json: boolean;
  readonly junit: boolean;
  readonly output?: string | undefined;
}): DoctorOptions['format'] | Problem {
  const asked = [...(json ? ['json'] : []), ...(junit ? ['junit'] : []), ...(output === undefined ? [] : [output])];
  const [format = 'text', ...others] = new Set(asked);
  const known = FORMATS.find((one) => one === format);
  if (known === undefined) return { problem: `-o is one of ${FORMATS.join(', ')}, got \`${format}\`` };
  return others.length > 0 ? { problem: `two output formats: \`${asked.join('` and `')}\`` } : known;
}

function categoriesFrom(list: string): ReadonlySet<Category> | Problem {
  const words = list.split(',').map((word) => word.trim());
  const unknown = words.find((word) => !isCategory(word));
  if (unknown !== undefined) return { problem: `--only takes ${CATEGORIES.join(', ')}; got \`${unknown}\`` };
  return new Set(words.filter(isCategory));
}
