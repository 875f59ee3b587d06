import {
  readDelimited,
  fieldReaders,
  varint,
  type FieldReader,
  type FieldReaders,
} from '../../../core/protobuf/reader.ts';
import type { EntryReader } from './entry-reader.ts';

/** The flags of an entry as a bit set by field number. */
export interface FlagsDraft {
  flags: number;
}

/** Envoy's flags by field number, with their letters in the text log. */
const letters: ReadonlyMap<number, string> = new Map([
  [1, 'LH'],
  [2, 'UH'],
  [3, 'UT'],
  [4, 'LR'],
  [5, 'UR'],
  [6, 'UF'],
  [7, 'UC'],
  [8, 'UO'],
  [9, 'NR'],
  [10, 'DI'],
  [11, 'FI'],
  [12, 'RL'],
  [13, 'UAEX'],
  [14, 'RLSE'],
  [15, 'DC'],
  [16, 'URX'],
  [17, 'SI'],
  [18, 'IH'],
  [19, 'DPE'],
  [20, 'UMSDR'],
  [21, 'RFCF'],
  [22, 'NFCF'],
  [23, 'DT'],
  [24, 'UPE'],
  [25, 'NC'],
  [26, 'OM'],
  [27, 'DF'],
  [28, 'DR'],
]);

/** The only flag that is a message: its presence is the flag. */
const UNAUTHORIZED = 13;

const flag = (number: number): FieldReader<FlagsDraft, EntryReader> =>
  number === UNAUTHORIZED
    ? readDelimited(number, (draft, reader) => {
        reader.pass();
        draft.flags |= 1 << number;
      })
    : varint(number, (draft, reader) => {
        if (reader.uint32() !== 0) draft.flags |= 1 << number;
      });

/** `ResponseFlags`. @see proto/envoy/data/accesslog/v3/accesslog.proto */
export const responseFlags: FieldReaders<FlagsDraft, EntryReader> = fieldReaders(
  Object.fromEntries([...letters.keys()].map((number) => [number, flag(number)])),
);

/**
 * The flags as letters, in protobuf order.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage, RESPONSE_FLAGS
 */
export const responseFlagsFrom = ({ flags }: FlagsDraft): readonly string[] =>
  flags === 0 ? NONE : [...letters].flatMap(([number, text]) => ((flags & (1 << number)) === 0 ? [] : [text]));

const NONE: readonly string[] = [];
