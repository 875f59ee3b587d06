import { MAX_RECORD_BYTES } from '../ledger/encoded-record.ts';
import { MAX_REMEMBERED_USES } from '../token/reuse.ts';

/**
 * What bounds the state that a field causes for one identity, in number and time, besides the bound of each message. The rates are in
 * `authority/feed/client-limits.ts`.
 */
export const KEEPERS = {
  call: 'nothing of it is kept after the call, and an identity has at most 512 calls in progress',
  stream: 'the last message of each stream is kept, and an identity has its share of all streams',
  claims: 'the rate of tasks that Hello names; what it names counts as held',
  held: 'the share of an identity in the room for held tasks and tokens',
  opens: 'the rate of opened tokens; what they name counts as held',
  uses: 'the rate of uses; those that change a budget or a history, or have a record, are remembered for 10 minutes, and no others',
  budgets: 'the budgets that the details of the task declare',
  limits: 'the rate of uses: a counter is kept for a day after its window',
  history: 'the length of the history of a task',
  records: 'the rate of bytes of records that come with uses',
  logs: 'the logs of an identity, and what is kept of each unacknowledged',
  reports: 'the rate of reports',
  sightings: 'the rate of static secrets, and the length of their list',
  'token uses': 'the rate of reported tokens, and the reporters of each token',
  proofs: 'the rate of proofs, and the share of an identity in the replay memory',
} as const;

type Keeper = keyof typeof KEEPERS;

/** What happens to a message above a bound: it is refused, or its reader takes only the beginning, or skips the entry. */
type Beyond = 'refused' | 'cut' | 'passed over';

/** The bound of one field. */
export type FieldBound = { readonly by: Keeper; readonly beyond: Beyond } & Shape;
type Shape =
  /** At most so many characters. */
  | { readonly kind: 'text'; readonly max: number }
  | { readonly kind: 'bytes'; readonly max: number }
  /** A whole number that is exact: 0 to 2^53 - 1. */
  | { readonly kind: 'number' }
  | { readonly kind: 'flag' }
  | { readonly kind: 'message'; readonly of: MessageName }
  | { readonly kind: 'list'; readonly max: number; readonly of: Exclude<Shape, { readonly kind: 'list' }> };

const text = (max: number, by: Keeper, beyond: Beyond = 'refused'): FieldBound => ({ kind: 'text', max, by, beyond });
const bytes = (max: number, by: Keeper): FieldBound => ({ kind: 'bytes', max, by, beyond: 'refused' });
const number = (by: Keeper, beyond: Beyond = 'refused'): FieldBound => ({ kind: 'number', by, beyond });
const flag = (by: Keeper): FieldBound => ({ kind: 'flag', by, beyond: 'refused' });
const message = (of: MessageName, by: Keeper): FieldBound => ({ kind: 'message', of, by, beyond: 'refused' });
const list = (
  max: number,
  of: Exclude<Shape, { readonly kind: 'list' }>,
  by: Keeper,
  beyond: Beyond = 'refused',
): FieldBound => ({ kind: 'list', max, of, by, beyond });
const each = (of: MessageName): { readonly kind: 'message'; readonly of: MessageName } => ({ kind: 'message', of });
const words = (max: number): { readonly kind: 'text'; readonly max: number } => ({ kind: 'text', max });

/** Most tokens of one open, uses of one settle, and proofs of one request. */
export const MAX_BATCH = 256;
/** Longest name of a task or token, and of an issuer. */
const NAME = 128;
const ISSUER = 512;
/** Most tasks that one Hello or Dropped names. A list of a sidecar has at most 3 MiB, of at least 48 bytes each. */
const TASKS = 65_536;
/** Most spends of one use. */
const SPENDS = 64;
/** Most entries of each kind in one report. */
const ENTRIES = 1_024;

/** The name of a message in `remit.authority.v1`. */
type MessageName = string;
type Fields = Readonly<Record<string, FieldBound>>;

const messages: Readonly<Record<MessageName, Fields>> = {
  Up: {
    hello: message('Hello', 'claims'),
    ping: message('Ping', 'stream'),
    ack: message('Ack', 'stream'),
    dropped: message('Dropped', 'held'),
    report: message('Report', 'reports'),
  },
  Hello: {
    version: text(64, 'stream'),
    instance: text(64, 'stream'),
    resume: message('Position', 'stream'),
    held: list(TASKS, each('HeldCard'), 'claims'),
    policy_set: text(NAME, 'call', 'cut'),
    log: message('LogHead', 'call'),
    orders: flag('stream'),
    orders_digest: text(64, 'stream'),
  },
  Position: { epoch: text(256, 'stream'), seq: number('stream'), mark: text(1_024, 'stream') },
  HeldCard: {
    key: message('TaskKey', 'held'),
    jti_digests: list(MAX_BATCH, words(NAME), 'held'),
    state: text(NAME, 'call'),
    generation: number('call'),
    history_version: number('call'),
  },
  TaskKey: { issuer: text(ISSUER, 'held'), id: text(NAME, 'held') },
  LogHead: {
    origin: text(ISSUER, 'logs'),
    verifier_key: text(1_024, 'logs'),
    size: number('logs'),
    root: bytes(64, 'call'),
  },
  Ping: { n: number('stream'), status: message('SidecarStatus', 'stream') },
  SidecarStatus: {
    policy_set: text(300, 'stream', 'cut'),
    policy_generation: number('stream'),
    unacknowledged_records: number('stream'),
    last_error: text(300, 'stream', 'cut'),
  },
  Ack: { seq: number('stream') },
  Dropped: { keys: list(TASKS, each('TaskKey'), 'held'), n: number('held') },
  Report: {
    id: number('call'),
    touched: list(ENTRIES, each('Touch'), 'reports', 'passed over'),
    stolen: list(ENTRIES, each('Stolen'), 'reports', 'passed over'),
    secrets: list(ENTRIES, each('Sighting'), 'sightings', 'passed over'),
    uses: list(ENTRIES, each('TokenUses'), 'token uses', 'passed over'),
  },
  Touch: { task_id: text(NAME, 'reports', 'passed over'), at_ms: number('reports', 'passed over') },
  Stolen: {
    key: message('TaskKey', 'call'),
    jti_digest: text(NAME, 'reports', 'passed over'),
    is_of_task: flag('reports'),
    cause: text(64, 'call', 'cut'),
    note: text(512, 'call', 'cut'),
  },
  Sighting: {
    digest: text(NAME, 'sightings', 'passed over'),
    kind: text(NAME, 'sightings', 'passed over'),
    place: text(512, 'sightings', 'passed over'),
    agent: text(2_048, 'sightings', 'passed over'),
    action: text(512, 'sightings', 'passed over'),
    times: number('sightings', 'passed over'),
  },
  TokenUses: {
    jti_digest: text(NAME, 'token uses', 'passed over'),
    uses: number('token uses', 'passed over'),
    trace_id: text(32, 'token uses', 'passed over'),
    span_id: text(16, 'token uses', 'passed over'),
    allowed: message('AllowedUses', 'token uses'),
  },
  AllowedUses: {
    address: text(256, 'token uses', 'passed over'),
    certificate: text(NAME, 'token uses', 'passed over'),
    servers: list(MAX_REMEMBERED_USES, words(256), 'token uses', 'passed over'),
    risks: list(MAX_REMEMBERED_USES, words(64), 'token uses', 'passed over'),
    traces: list(MAX_REMEMBERED_USES, { kind: 'number' }, 'token uses', 'passed over'),
  },
  OpenRequest: {
    instance: text(64, 'call'),
    tokens: list(MAX_BATCH, each('TokenKey'), 'opens'),
    n: number('held'),
  },
  TokenKey: { key: message('TaskKey', 'opens'), jti_digest: text(NAME, 'opens') },
  SettleRequest: { instance: text(64, 'call'), uses: list(MAX_BATCH, each('Use'), 'uses') },
  GiveBackRequest: { instance: text(64, 'call'), uses: list(MAX_BATCH, each('Use'), 'uses') },
  Use: {
    decision_id: text(36, 'uses'),
    key: message('TaskKey', 'call'),
    jti_digest: text(NAME, 'call'),
    generation: number('call'),
    spends: list(SPENDS, each('Spend'), 'budgets'),
    entry: message('HistoryEntry', 'history'),
    record: bytes(MAX_RECORD_BYTES, 'records'),
    agent: text(2_048, 'limits'),
    ahead: list(SPENDS, { kind: 'number' }, 'budgets'),
    left: list(SPENDS, { kind: 'number' }, 'budgets'),
    before: number('budgets'),
  },
  Spend: {
    kind: text(16, 'budgets'),
    name: text(NAME, 'budgets'),
    amount: number('budgets'),
    limit: number('budgets'),
    measure: text(16, 'limits'),
    who: text(4_096, 'limits'),
    window_ms: number('limits'),
    value: text(64, 'limits'),
    effect: text(16, 'limits'),
  },
  HistoryEntry: {
    version: number('call'),
    action: text(256, 'history'),
    labels: list(64, words(256), 'history'),
  },
  ProofsRequest: { proofs: list(MAX_BATCH, each('Proof'), 'proofs') },
  Proof: {
    thumbprint: text(NAME, 'proofs'),
    proof_id: text(512, 'proofs'),
    issued_at_s: number('proofs'),
    agent: text(4_096, 'proofs'),
  },
  Records: {
    log: message('LogHead', 'logs'),
    from: number('logs'),
    leaves: list(1_024, { kind: 'bytes', max: 1_024 ** 2 }, 'logs'),
    checkpoint: text(4_096, 'logs'),
    ended: flag('logs'),
  },
  BundleRequest: { digest: text(NAME, 'call') },
};

/** The bound of each field of each message that a sidecar sends. A test compares it with the protocol. */
export const MESSAGE_BOUNDS = messages;

/**
 * Why a message of a sidecar is refused: the first field with more than its bound; `null` if it has none. Lists of a report are counted
 * by their reader, and its entries judged separately, so that a bad entry does not lose the others (`isBounded`).
 */
export const refusedField = (name: MessageName, value: unknown): string | null => exceeded(name, value, ['refused']);

/** Whether an entry of a report has nothing beyond its bounds. */
export const isBounded = (name: MessageName, value: unknown): boolean =>
  exceeded(name, value, ['refused', 'passed over']) === null;

function exceeded(name: MessageName, value: unknown, judged: readonly Beyond[]): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const fields = messages[name];
  if (fields === undefined) return `\`${name}\` is unknown`;
  for (const [field, bound] of Object.entries(fields)) {
    const given: unknown = Reflect.get(value, field);
    const isList = bound.kind === 'list';
    if (isList && Array.isArray(given)) {
      if (judged.includes(bound.beyond) && given.length > bound.max) return `\`${name}.${field}\` has too many entries`;
      if (bound.beyond === 'passed over' && !judged.includes('passed over')) continue;
      for (const one of given as readonly unknown[]) {
        const inner = exceededOne(`${name}.${field}`, one, { of: bound.of, judged });
        if (inner !== null) return inner;
      }
      continue;
    }
    if (isList || !judged.includes(bound.beyond)) continue;
    const inner = exceededOne(`${name}.${field}`, given, { of: bound, judged });
    if (inner !== null) return inner;
  }
  return null;
}

function exceededOne(
  path: string,
  value: unknown,
  { of, judged }: { readonly of: Exclude<Shape, { readonly kind: 'list' }>; readonly judged: readonly Beyond[] },
): string | null {
  switch (of.kind) {
    case 'text':
      return typeof value === 'string' && value.length > of.max ? `\`${path}\` has too many characters` : null;
    case 'bytes':
      return value instanceof Uint8Array && value.length > of.max ? `\`${path}\` has too many bytes` : null;
    case 'number':
      return typeof value === 'number' && !(Number.isSafeInteger(value) && value >= 0)
        ? `\`${path}\` is no exact number`
        : null;
    case 'flag':
      return null;
    case 'message':
      return exceeded(of.of, value, judged);
    default:
      return of satisfies never;
  }
}
