// Exit 0 where the address answers 200.
const answer = await fetch(process.argv[2]).catch(() => null);
process.exit(answer?.status === 200 ? 0 : 1);
