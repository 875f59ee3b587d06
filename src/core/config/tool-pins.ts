import { resolve } from 'node:path';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { integer, made, optional, textOf } from '../runtime/fields.ts';
import type { Problem } from '../runtime/problem.ts';
import { listed, section } from './fields.ts';
import { httpsUrl, spiffeIdText } from './values.ts';

/** Which MCP servers are polled, to compare their tools with the pins of the catalog. */
export interface ToolPinsConfig {
  /** Default 300 s, 10 to 86,400. */
  readonly everySeconds: number;
  readonly servers: readonly PinnedServerConfig[];
}

/** An MCP server that is polled. */
export interface PinnedServerConfig {
  /** Its id in the catalog. */
  readonly server: string;
  readonly url: string;
  /** The CAs that may vouch for it: `bundle` (the bundle of the own SVID), `system`, or a PEM file. Default `bundle`. */
  readonly ca: string;
  /** Default none: the host of the URL is checked. */
  readonly id: SpiffeId | null;
}

/** Reads the section `issuer.toolPins`. */
export const toolPinsSection = (folder: string) =>
  section<ToolPinsConfig>({
    everySeconds: optional(integer(10, 86_400), 300),
    servers: made<readonly PinnedServerConfig[], readonly PinnedServerConfig[]>(
      listed(
        section<PinnedServerConfig>({
          server: serverId,
          url: httpsUrl,
          ca: optional(authoritiesIn(folder), 'bundle'),
          id: optional(spiffeIdText, null),
        }),
      ),
      eachOnce,
    ),
  });

/** Refuses a second entry for a server: which of the two counts would be a guess. */
function eachOnce(servers: readonly PinnedServerConfig[]): readonly PinnedServerConfig[] | Problem {
  const twice = servers.find(({ server }, at) => servers.findIndex((other) => other.server === server) < at);
  return twice === undefined ? servers : { problem: `names the server \`${twice.server}\` twice` };
}

/** The id of a server of the catalog. */
const serverId = textOf<string>('the id of a server of the catalog', (value) =>
  /^[a-z][a-z0-9_-]{0,62}$/.test(value) ? value : { problem: 'lower-case letters, digits, `-` and `_`, at most 63' },
);

/** Reads the CAs of a server: the own bundle, the system, or a file. */
const authoritiesIn = (folder: string) =>
  textOf<string>('`bundle`, `system` or a path', (value) =>
    value === 'bundle' || value === 'system' ? value : resolve(folder, value),
  );
