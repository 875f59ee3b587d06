import { readFileSync } from 'node:fs';
import { Client } from 'pg';
import { makeNodes, NODES, PostgresNodes, type NodeName } from '../../src/dev/postgres/nodes.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { FaultProxy } from '../fault-proxy.ts';
import { freePorts } from '../free-port.ts';
import { dataTemplate } from './data-template.ts';
import type { PostgresOptions } from './postgres.ts';

export type { NodeName };

/** Certificates from then are valid by a clock that is an hour off, too. */
const EARLIER = { ...systemPorts, nowMs: () => Date.now() - 2 * 3_600_000 };
/** The role that tests connect as. */
const APP = { user: 'app', password: 'of-the-app' } as const;

/** How a test connects. */
export interface ConnectOptions {
  readonly to?: NodeName;
  /** Whether queries are sent without waiting for the results of those before. Default no. */
  readonly pipeline?: boolean;
}

interface Proxies {
  readonly fronts: Readonly<Record<NodeName, FaultProxy>>;
  /** By `STANDBY from UPSTREAM`. */
  readonly links: ReadonlyMap<string, FaultProxy>;
}

/**
 * Three real nodes of PostgreSQL with a fault proxy between each two nodes, and before each node for its clients.
 *
 * Lifecycle: `startCluster` makes and starts it; `close` kills the nodes that run and ends the proxies.
 */
export class PostgresCluster extends PostgresNodes {
  readonly #proxies: Proxies;

  constructor(
    nodes: PostgresNodes['nodes'],
    options: ConstructorParameters<typeof PostgresNodes>[1],
    proxies: Proxies,
  ) {
    super(nodes, options, {
      ofClients: (to) => proxies.fronts[to].port,
      ofStandby: (standby, upstream) => linkOf(proxies, standby, upstream).port,
    });
    this.#proxies = proxies;
  }

  /** The proxy between clients and a node. */
  front(name: NodeName): FaultProxy {
    return this.#proxies.fronts[name];
  }

  /** The proxy through which `standby` streams from `upstream`. */
  link(standby: NodeName, upstream: NodeName): FaultProxy {
    return linkOf(this.#proxies, standby, upstream);
  }

  /** Cuts a node off from the two others, by holding all that goes between them. Its clients still reach it. */
  isolate(name: NodeName): void {
    for (const other of NODES.filter((node) => node !== name))
      for (const link of [this.link(name, other), this.link(other, name)]) link.set({ kind: 'held' });
  }

  /** Heals all proxies. */
  heal(): void {
    for (const proxy of allOf(this.#proxies)) proxy.heal();
  }

  /** Connects to a node, by default the primary, as the role `app`, through its proxy. The caller ends the client. */
  async connect({ to = this.primary, pipeline = false }: ConnectOptions = {}): Promise<Client> {
    const client = new Client({
      host: '127.0.0.1',
      port: this.front(to).port,
      pipeline,
      database: 'postgres',
      ssl: { ca: readFileSync(this.tls.ca) },
      connectionTimeoutMillis: 5_000,
      ...this.client,
    });
    // What ends a connection is told by its query.
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  override async close(): Promise<void> {
    await super.close();
    await Promise.all(allOf(this.#proxies).map((proxy) => proxy.close()));
  }
}

const allOf = ({ fronts, links }: Proxies): readonly FaultProxy[] => [...Object.values(fronts), ...links.values()];

function linkOf({ links }: Proxies, standby: NodeName, upstream: NodeName): FaultProxy {
  const link = links.get(`${standby} from ${upstream}`);
  if (link === undefined) throw new Error(`no link of ${standby} from ${upstream}`);
  return link;
}

/** Makes a cluster and starts it: about 3 s on an idle machine. */
export async function startCluster({ binaries, folder, settings = {} }: PostgresOptions): Promise<PostgresCluster> {
  const options = {
    binaries,
    folder,
    settings,
    client: APP,
    random: EARLIER,
    template: await dataTemplate(binaries),
    ports: await freePorts(NODES.length),
  };
  const nodes = await makeNodes(options);
  const [a, b, c] = await Promise.all(NODES.map((name) => FaultProxy.start(nodes[name].port)));
  if (a === undefined || b === undefined || c === undefined) throw new Error('three proxies were started');
  const links = new Map<string, FaultProxy>();
  for (const name of NODES)
    for (const standby of NODES)
      if (standby !== name) links.set(`${standby} from ${name}`, await FaultProxy.start(nodes[name].port));
  const cluster = new PostgresCluster(nodes, options, { fronts: { a, b, c }, links });
  try {
    await cluster.start();
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}
