import { isStoreFailure, storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Database } from './database.ts';
import { BEGIN, commit } from './flight.ts';

/** What distinguishes fleets. */
export interface Fleet {
  readonly issuer: string;
  readonly trustDomains: readonly string[];
}

const FLEET = 'SELECT issuer, trust_domains FROM remit.fleet';
const CLAIM = 'INSERT INTO remit.fleet (id, issuer, trust_domains) VALUES (1, $1, $2) ON CONFLICT DO NOTHING';

/**
 * Why the database is not for this fleet; `null` if it is, or if no fleet has claimed it yet. Two fleets in the same database would end,
 * count and announce each other's tasks. A fleet may add and drop trust domains, as long as one of its first trust domains stays.
 */
export async function fleetProblem(database: Database, fleet: Fleet): Promise<StoreFailure | null> {
  const found = await fleetOf(database);
  return found === null || isStoreFailure(found) ? found : difference(found, fleet);
}

/**
 * Claims a database that no fleet has claimed, and answers as `fleetProblem` does. A claim that could not be written is no problem: call
 * again later.
 */
export async function claimDatabase(database: Database, fleet: Fleet): Promise<StoreFailure | null> {
  const found = await fleetOf(database);
  if (found !== null) return isStoreFailure(found) ? found : difference(found, fleet);
  await database.transaction(async (client) => {
    await client.query(BEGIN.text);
    const claim = { text: CLAIM, values: [fleet.issuer, fleet.trustDomains] };
    return { outcome: await commit(client, [claim], database) };
  });
  // Another fleet may have been first.
  return fleetProblem(database, fleet);
}

async function fleetOf(database: Database): Promise<Fleet | StoreFailure | null> {
  const result = await database.look(FLEET);
  if (isStoreFailure(result)) return result;
  const [row] = result.rows;
  return row === undefined ? null : { issuer: String(row['issuer']), trustDomains: row['trust_domains'] };
}

function difference(found: Fleet, fleet: Fleet): StoreFailure | null {
  const isSame =
    found.issuer === fleet.issuer && fleet.trustDomains.some((domain) => found.trustDomains.includes(domain));
  if (isSame) return null;
  return storeFailure(
    'unusable',
    `the database belongs to the fleet of ${fleetText(found)}, and this process to that of ${fleetText(fleet)}: ` +
      'give each fleet a database of its own, or run `remit migrate --forget-fleet` if the fleet itself has changed',
  );
}

const fleetText = ({ issuer, trustDomains }: Fleet): string =>
  `issuer \`${issuer}\` in ${trustDomains.map((domain) => `\`${domain}\``).join(', ')}`;
