import { dirname } from 'node:path';
import type { SocketKeys } from '../core/config/socket-access.ts';
import type { Address } from '../core/config/values.ts';
import type { PathGuard } from '../core/config/writable-path.ts';
import { groupIdOf } from '../core/runtime/system/group-id.ts';
import { isProblem } from '../core/runtime/problem.ts';
import type { SocketAccess } from '../core/runtime/system/unix-socket.ts';
import type { StartProblem } from './start-problem.ts';

/** Who may connect to the sockets of a section, with the group as its number. */
export async function socketAccessOf(
  section: string,
  { socketMode, socketGroup }: SocketKeys,
): Promise<SocketAccess | StartProblem> {
  const groupId = socketGroup === null ? null : await groupIdOf(socketGroup);
  if (isProblem(groupId)) return { problem: `\`${section}.socketGroup\`: ${groupId.problem}` };
  return { mode: Number.parseInt(socketMode, 8), groupId };
}

/**
 * Why a socket between a sidecar and its authority cannot be trusted: others could replace it, since they can write to its folder. `null` if
 * it can be trusted.
 */
export async function socketFolderProblem(
  field: string,
  addresses: readonly Address[],
  guard: PathGuard,
): Promise<string | null> {
  for (const address of addresses) {
    const problem = address.kind === 'unix' ? await guard(dirname(address.path)) : null;
    if (problem !== null) return `\`${field}\`: the folder of the socket: ${problem}`;
  }
  return null;
}
