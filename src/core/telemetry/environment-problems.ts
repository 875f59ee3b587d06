import { isSdkDisabled, MAX_SETTING, otelText } from './environment.ts';
import type { OtelVariables, Signal } from './environment.ts';

/** The valid values of a variable. */
interface Rule {
  /** In words, after "expected". */
  readonly expected: string;
  readonly isGood: (text: string) => boolean;
  /** Whether the value may contain a credential and must not be shown. */
  readonly isSecret?: true;
}

const signals: readonly Signal[] = ['TRACES', 'LOGS', 'METRICS'];

const oneOf = (...names: readonly string[]): Rule => ({
  expected: names.join(', '),
  isGood: (text) => names.includes(text),
});

const listOf = (...names: readonly string[]): Rule => ({
  expected: `${names.join(', ')}, with commas between`,
  isGood: (text) => text.split(',').every((name) => names.includes(name.trim())),
});

/** Case-insensitive, as in OpenTelemetry. */
const lowerCased = ({ expected, isGood }: Rule): Rule => ({ expected, isGood: (text) => isGood(text.toLowerCase()) });

const wholeNumber = (least: number): Rule => ({
  expected: `a whole number from ${least} to ${MAX_SETTING}`,
  isGood: (text) => Number.isSafeInteger(Number(text)) && Number(text) >= least && Number(text) <= MAX_SETTING,
});

const ratio: Rule = {
  expected: 'a number from 0 to 1',
  isGood: (text) => Number(text) >= 0 && Number(text) <= 1,
};

const pairs: Rule = {
  expected: '`name=value` pairs with commas between, the values percent-encoded',
  isGood: (text) => text.split(',').every((pair) => pair.trim() === '' || isPair(pair.trim())),
};

function isPair(pair: string): boolean {
  const equals = pair.indexOf('=');
  if (equals <= 0) return false;
  try {
    decodeURIComponent(pair.slice(equals + 1));
    return true;
  } catch {
    return false;
  }
}

const endpoint: Rule = {
  expected: '`http://host:port` or `https://host:port`',
  isGood: (text) => /^https?:\/\/./.test(text) && URL.canParse(text),
  isSecret: true,
};

const refused = (why: string): Rule => ({ expected: why, isGood: () => false });

/** Set for all signals, or per signal, which takes precedence. */
const ofOtlp = {
  PROTOCOL: oneOf('grpc', 'http/protobuf', 'http/json'),
  ENDPOINT: endpoint,
  HEADERS: { ...pairs, isSecret: true },
  TIMEOUT: wholeNumber(1),
  COMPRESSION: oneOf('gzip', 'none'),
} as const satisfies Readonly<Record<string, Rule>>;

/** Certificate and key files: an exporter silently ignores a file that it cannot read. */
const FILES = ['CERTIFICATE', 'CLIENT_CERTIFICATE', 'CLIENT_KEY'] as const;

const ofOtlpSignals = (name: string): readonly string[] => [
  `OTEL_EXPORTER_OTLP_${name}`,
  ...signals.map((signal) => `OTEL_EXPORTER_OTLP_${signal}_${name}`),
];

const exporters = listOf('otlp', 'console', 'none');

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['OTEL_SDK_DISABLED', lowerCased(oneOf('true', 'false'))],
  ['OTEL_LOG_LEVEL', lowerCased(oneOf('none', 'error', 'warn', 'info', 'debug', 'verbose', 'all'))],
  ['OTEL_TRACES_EXPORTER', exporters],
  ['OTEL_LOGS_EXPORTER', exporters],
  ['OTEL_METRICS_EXPORTER', listOf('otlp', 'console', 'prometheus', 'none')],
  ...Object.entries(ofOtlp).flatMap(([name, rule]) => ofOtlpSignals(name).map((variable) => [variable, rule] as const)),
  ['OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE', lowerCased(oneOf('cumulative'))],
  [
    'OTEL_TRACES_SAMPLER',
    oneOf(
      'always_on',
      'always_off',
      'traceidratio',
      'parentbased_always_on',
      'parentbased_always_off',
      'parentbased_traceidratio',
    ),
  ],
  ['OTEL_TRACES_SAMPLER_ARG', ratio],
  ...['BSP', 'BLRP'].flatMap((processor) =>
    ['MAX_QUEUE_SIZE', 'MAX_EXPORT_BATCH_SIZE', 'SCHEDULE_DELAY', 'EXPORT_TIMEOUT'].map(
      (name) => [`OTEL_${processor}_${name}`, wholeNumber(1)] as const,
    ),
  ),
  ['OTEL_METRIC_EXPORT_INTERVAL', wholeNumber(1)],
  ['OTEL_METRIC_EXPORT_TIMEOUT', wholeNumber(1)],
  ...['ATTRIBUTE', 'SPAN_ATTRIBUTE', 'LOGRECORD_ATTRIBUTE'].flatMap((of) => [
    [`OTEL_${of}_COUNT_LIMIT`, wholeNumber(0)] as const,
    [`OTEL_${of}_VALUE_LENGTH_LIMIT`, wholeNumber(1)] as const,
  ]),
  ['OTEL_NODE_RESOURCE_DETECTORS', listOf('all', 'none', 'env', 'host', 'os', 'process', 'serviceinstance')],
  ['OTEL_RESOURCE_ATTRIBUTES', pairs],
  ['OTEL_CONFIG_FILE', refused('no file: only the other `OTEL_*` variables are read')],
]);

/** Every variable that is read and can have an invalid value. */
export const otelVariables: readonly string[] = [...rules.keys(), ...FILES.flatMap(ofOtlpSignals)];

/**
 * The invalid `OTEL_*` variables, one line each; none if `OTEL_SDK_DISABLED` is true. Unknown and blank variables are ignored.
 *
 * @param isReadable whether there is a file that can be read
 */
export function otelProblems(variables: OtelVariables, isReadable: (path: string) => boolean): readonly string[] {
  if (isSdkDisabled(variables)) return [];
  const unreadable: Rule = { expected: 'a file that can be read', isGood: isReadable };
  const all = [...rules, ...FILES.flatMap(ofOtlpSignals).map((name) => [name, unreadable] as const)];
  return all.flatMap(([name, { expected, isGood, isSecret }]) => {
    const text = otelText(variables, name);
    if (text === undefined || isGood(text)) return [];
    return `\`${name}\`${isSecret === true ? '' : ` is \`${text}\``}: expected ${expected}`;
  });
}
