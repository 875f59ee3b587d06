import { configure, copyDataFolder, makePostgresTls } from '../../src/dev/postgres/data-folder.ts';
import { PostgresNode } from '../../src/dev/postgres/node.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { freePort } from '../free-port.ts';
import { dataTemplate } from './data-template.ts';

/** A PostgreSQL of one node. */
export type Postgres = PostgresNode;

/** What it is made with. */
export interface PostgresOptions {
  /** Folder of the programs, from `postgresPart`. */
  readonly binaries: string;
  /** An empty folder, for data, sockets and certificates. */
  readonly folder: string;
  /** Further settings of `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Makes a PostgreSQL of one node and starts it. */
export async function startPostgres({ binaries, folder, settings = {} }: PostgresOptions): Promise<Postgres> {
  const tls = await makePostgresTls(folder, systemPorts);
  const started = new PostgresNode({ binaries, folder, port: await freePort(), tls });
  await copyDataFolder(await dataTemplate(binaries), started.data);
  await configure(started, settings);
  await started.start();
  return started;
}
