/** What replaces keys of earlier versions, for a file or a variable that still has them. */
export const formerKeys: ReadonlyMap<string, string> = new Map([
  [
    'stateAccess',
    'was removed: processes no longer share a state file. For more cores, run one authority (`authority.listen: unix:/path`) and its sidecars (`state: authority:unix:/path`): deploy/guide/install/processes.md',
  ],
]);
