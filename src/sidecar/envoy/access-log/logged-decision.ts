import type { LoggedDecision } from '../../outcome/served-call.ts';
import { readDelimited, fieldReaders, fixed64, varint, type FieldReaders } from '../../../core/protobuf/reader.ts';
import type { EntryReader } from './entry-reader.ts';
import { isTextAt, plainAt, uuidAt } from './log-text.ts';
import type { MadeOf } from './log-text.ts';

/** Most texts in our metadata namespace; `sidecar/envoy/check/response.ts` writes fewer, and Envoy adds a number. */
const MAX_TEXTS = 16;

/** The metadata read from an entry. */
export interface LoggedDraft {
  id: string | null;
  kind: LoggedDecision['kind'];
  task: string | null;
  agent: string | null;
  action: string | null;
  ledger: string | null;
  /** Whether the namespace of the next value is ours; `null` before its name. */
  isOurs: boolean | null;
  isOursRead: boolean;
  /** Index in `values` of the next value, `OTHER` for unused values; `null` before its name. */
  value: number | null;
  /** A bit per entry of `values` already read. */
  valuesRead: number;
  texts: number;
}

/** The decision; `null` if there is none or it has no valid id. */
export const loggedDecisionFrom = ({ id, kind, task, agent, action, ledger }: LoggedDraft): LoggedDecision | null =>
  id === null ? null : { id, kind, task, agent, action, ledger };

type Target = FieldReaders<LoggedDraft, EntryReader>;

/**
 * The namespace in which Envoy stores the metadata of an answer. @see https://github.com/envoyproxy/envoy ext_authz, dynamic
 * metadata
 */
const isOurNamespace = isTextAt('envoy.filters.http.ext_authz');
const isAllow = isTextAt('allow');
const isDeny = isTextAt('deny');
const kindAt: MadeOf<LoggedDecision['kind']> = (bytes, from, to) => {
  if (isAllow(bytes, from, to)) return 'allow';
  return isDeny(bytes, from, to) ? 'deny' : null;
};

/** The used values of our namespace and their targets. */
const values: readonly {
  readonly isNameAt: MadeOf<boolean>;
  readonly read: (draft: LoggedDraft, reader: EntryReader) => void;
}[] = [
  { isNameAt: isTextAt('decision_id'), read: (draft, reader) => void (draft.id = reader.made(uuidAt)) },
  { isNameAt: isTextAt('decision'), read: (draft, reader) => void (draft.kind = reader.made(kindAt)) },
  { isNameAt: isTextAt('task_id'), read: (draft, reader) => void (draft.task = reader.made(uuidAt)) },
  { isNameAt: isTextAt('agent'), read: (draft, reader) => void (draft.agent = reader.made(plainAt)) },
  { isNameAt: isTextAt('action'), read: (draft, reader) => void (draft.action = reader.made(plainAt)) },
  { isNameAt: isTextAt('ledger'), read: (draft, reader) => void (draft.ledger = reader.made(plainAt)) },
];
const OTHER = -1;
const valueAt: MadeOf<number> = (bytes, from, to) => {
  for (let place = 0; place < values.length; place += 1) if (values[place]?.isNameAt(bytes, from, to)) return place;
  return OTHER;
};

/** The members of a `oneof` share a slot. Only texts are used. */
const value: Target = fieldReaders({
  1: varint(0, (_, reader) => void reader.uint32()),
  2: fixed64(0, (_, reader) => void reader.double()),
  3: readDelimited(0, (draft, reader) => {
    draft.texts += 1;
    const used = values[draft.value ?? OTHER];
    if (used === undefined || draft.texts > MAX_TEXTS) reader.pass();
    else used.read(draft, reader);
  }),
  4: varint(0, (_, reader) => void reader.uint32()),
  5: readDelimited(0, (_, reader) => reader.pass()),
  6: readDelimited(0, (_, reader) => reader.pass()),
});

const valueEntry: Target = fieldReaders({
  1: readDelimited(1, (draft, reader) => {
    const number = reader.made(valueAt);
    draft.value = number;
    if (number === OTHER) return;
    if ((draft.valuesRead & (1 << number)) !== 0) reader.malformed('a map has a key twice');
    draft.valuesRead |= 1 << number;
  }),
  2: readDelimited(2, (draft, reader) => {
    if (draft.value === null) reader.malformed('a map has a value before its key');
    else reader.message(value, draft);
  }),
});

const struct: Target = fieldReaders({
  1: readDelimited(null, (draft, reader) => {
    draft.value = null;
    reader.message(valueEntry, draft);
  }),
});

const namespaceEntry: Target = fieldReaders({
  1: readDelimited(1, (draft, reader) => {
    draft.isOurs = reader.made(isOurNamespace);
    if (draft.isOurs && draft.isOursRead) reader.malformed('a map has a key twice');
    draft.isOursRead ||= draft.isOurs;
  }),
  2: readDelimited(2, (draft, reader) => {
    if (draft.isOurs === null) reader.malformed('a map has a value before its key');
    else if (draft.isOurs) reader.message(struct, draft);
    // Metadata of other filters may be large and deep.
    else reader.pass();
  }),
});

/** The `Metadata` of an entry, of which only our namespace is read. */
export const loggedMetadata: Target = fieldReaders({
  1: readDelimited(null, (draft, reader) => {
    if (!reader.isPartWithin()) return;
    draft.isOurs = null;
    reader.message(namespaceEntry, draft);
  }),
});
