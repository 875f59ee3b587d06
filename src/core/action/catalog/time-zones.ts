import { textLike } from '../../runtime/fields.ts';
import { nearestOf } from '../../runtime/nearest-name.ts';
import { entriesOf, placedOf } from './yaml-file.ts';
import type { PlacedNode, YamlFile } from './yaml-file.ts';

/** Time zones whose local time policies can read, by the operator's name: `office` is `Europe/Berlin`. */
export type TimeZones = ReadonlyMap<string, string>;

const NAME = /^[a-z][A-Za-z0-9_]{0,62}$/;
/** Most time zones of a catalog. */
export const MAX_ZONES = 16;
const RULE = 'a name of the IANA time zone database such as `Europe/Berlin`, or `UTC`';

const zoneText = textLike(RULE, () => true);

/** Reads `timeZones`: at most 16 names with zones of the runtime's database. Empty if absent. */
export function timeZonesFrom(yaml: YamlFile, node: PlacedNode | undefined): TimeZones {
  if (node === undefined) return new Map();
  const entries = entriesOf(yaml, node, '`timeZones`');
  if (entries.length > MAX_ZONES) yaml.report(node.offset, `there are at most ${MAX_ZONES} time zones`);
  return new Map(
    entries.flatMap(([name, value]) => {
      if (!NAME.test(name.value))
        yaml.report(
          name.offset,
          `the name \`${name.value.slice(0, 100)}\` of a time zone must be letters, digits and \`_\`, beginning with a lower-case letter, at most 63`,
        );
      const zone = placedOf(yaml, value, { what: 'the time zone', reader: zoneText });
      if (zone === null) return [];
      if (isTimeZone(zone.value)) return [[name.value, zone.value] as const];
      const nearest = nearestOf(zone.value, Intl.supportedValuesOf('timeZone'));
      const help = nearest === null ? undefined : `did you mean \`${nearest}\`?`;
      yaml.report(zone.offset, `\`${zone.value.slice(0, 100)}\` must be ${RULE}`, help);
      return [];
    }),
  );
}

/** Excludes offsets and abbreviations, which are probably mistakes: `+01:00` and `EST` have no daylight saving time. */
function isTimeZone(name: string): boolean {
  if (name !== 'UTC' && !/^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)+$/.test(name)) return false;
  if (Intl.supportedValuesOf('timeZone').includes(name)) return true;
  // A link such as `US/Pacific`. Making a format takes 8 MiB of ICU's data into memory.
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
