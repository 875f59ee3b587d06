import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import { LINEAR } from '../../../core/runtime/yaml-text.ts';
import type { AcceptedCatalog } from '../accepted-catalog.ts';

/**
 * The text of `enforcement.yaml` in which the ids of new servers replace the hosts that they take over, and are added to the
 * patterns of hosts; `null` if nothing changes. An entry that names a host does not cover calls to a server of the catalog:
 * without this change, deploying the learnt catalog would enforce all of them at once.
 */
export function withLearntServers(text: string, { servers, catalog }: AcceptedCatalog): string | null {
  const document = parseDocument(text, LINEAR);
  const entries = document.get('observe', true);
  const made = servers.filter(({ id, known }) => known === null && catalog.servers.has(id));
  let isChanged = false;
  for (const entry of isSeq(entries) ? entries.items : []) {
    const named = isMap(entry) ? entry.get('servers', true) : null;
    if (!isSeq(named)) continue;
    const names = named.items.flatMap((item) => (isScalar(item) && typeof item.value === 'string' ? [item.value] : []));
    const covered = made.filter(({ host }) => names.some((name) => isOf(name, host)));
    if (covered.length === 0) continue;
    const hosts = new Set(covered.map(({ host }) => host));
    named.items = named.items.filter((item) => !(isScalar(item) && hosts.has(String(item.value))));
    for (const { id } of covered) if (!names.includes(id)) named.add(id);
    isChanged = true;
  }
  return isChanged ? document.toString({ lineWidth: 0 }) : null;
}

/** Whether an entry names a host: `legacy.acme.test`, or below `*.acme.test`. */
const isOf = (name: string, host: string): boolean =>
  name === host || (name.startsWith('*.') && host.endsWith(name.slice(1)));
