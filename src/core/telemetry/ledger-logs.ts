import { remitVersion } from '../config/version.ts';
import type { JsonValue } from '../ledger/canonical-json.ts';
import { leafFrom, type LedgerLeaf } from '../ledger/proof/leaf.ts';
import { isProblem } from '../runtime/problem.ts';

/** `INFO` and `WARN` of the OpenTelemetry log data model. */
const INFO = { severityNumber: 9, severityText: 'INFO' } as const;
const WARN = { severityNumber: 13, severityText: 'WARN' } as const;

/** Attribute names for members of a record; the same as in spans if possible. */
const attributeNames: readonly (readonly [string, string])[] = [
  ['kind', 'remit.record.kind'],
  ['task', 'remit.task.id'],
  ['agent', 'remit.agent'],
  ['action', 'remit.action'],
  ['decision', 'remit.decision'],
  ['reason', 'remit.reason'],
  ['decisionId', 'remit.decision.id'],
  ['policyIds', 'remit.policy.ids'],
  ['policySet', 'remit.policy.set'],
  ['credential', 'remit.credential'],
  ['tokenUse', 'remit.token.use'],
  ['reuse', 'remit.token.reuse'],
  ['intentHash', 'remit.intent.hash'],
  ['finding', 'remit.finding'],
  ['event', 'remit.event'],
  ['cause', 'remit.cause'],
  ['method', 'http.request.method'],
  ['status', 'http.response.status_code'],
  ['host', 'server.address'],
  ['path', 'url.path'],
];

/**
 * Leaves as one OTLP export request for logs in JSON: a line for a collector's file, or the body of a POST. The body of each
 * log record is the stored leaf, so that the log can be verified from the collector's copy. `service.version` is that of the
 * exporting build.
 *
 * @see OTLP specification 1.7, JSON encoding; `opentelemetry/proto/logs/v1/logs.proto`
 */
export function otlpLogsRequest(leaves: readonly { readonly bytes: Uint8Array }[], origin: string): string {
  const resource = [
    attribute('service.name', 'remit'),
    attribute('service.version', remitVersion()),
    attribute('remit.ledger.origin', origin),
  ].flat();
  const logRecords = leaves.map(({ bytes }) => logRecord(bytes));
  return JSON.stringify({
    resourceLogs: [
      { resource: { attributes: resource }, scopeLogs: [{ scope: { name: 'remit.ledger' }, logRecords }] },
    ],
  });
}

function logRecord(bytes: Uint8Array): unknown {
  const body = { stringValue: Buffer.from(bytes).toString('utf8') };
  const leaf = leafFrom(bytes);
  // A damaged leaf is exported as it is: the verifier reports it.
  if (isProblem(leaf)) return { ...WARN, body, attributes: attribute('remit.problem', leaf.problem) };
  const { record, seq } = leaf;
  const at = nanosOf(record['at']);
  return {
    timeUnixNano: at,
    observedTimeUnixNano: at,
    ...(isWarning(leaf) ? WARN : INFO),
    ...(typeof record['kind'] === 'string' ? { eventName: `remit.ledger.${record['kind']}` } : {}),
    body,
    attributes: [
      ...attribute('remit.record.seq', seq),
      ...attributeNames.flatMap(([member, name]) => attribute(name, record[member])),
    ],
    ...hexMember('traceId', record['traceId'], 32),
    ...hexMember('spanId', record['spanId'], 16),
  };
}

/** Nanoseconds of an instant in milliseconds; `0` if 64 bits cannot hold them: one such record would have a collector refuse all others. */
const nanosOf = (ms: JsonValue | undefined): string =>
  typeof ms === 'number' && ms >= 1 && ms < MAX_MS ? `${Math.trunc(ms)}000000` : '0';

/** 2^64 nanoseconds. */
const MAX_MS = 2 ** 64 / 1e6;

const isWarning = ({ record }: LedgerLeaf): boolean => record['decision'] === 'deny' || record['kind'] === 'finding';

/** An attribute with a text, a whole number or a list of texts; none for other values. */
function attribute(key: string, value: JsonValue | undefined): readonly unknown[] {
  if (typeof value === 'string') return [{ key, value: { stringValue: value } }];
  if (typeof value === 'number' && Number.isSafeInteger(value)) return [{ key, value: { intValue: String(value) } }];
  if (!Array.isArray(value) || value.length === 0) return [];
  const values = value.filter((each) => typeof each === 'string').map((stringValue) => ({ stringValue }));
  return [{ key, value: { arrayValue: { values } } }];
}

const hexMember = (name: string, value: JsonValue | undefined, length: number): Readonly<Record<string, string>> =>
  typeof value === 'string' && value.length === length && /^[0-9a-f]+$/.test(value) ? { [name]: value } : {};
