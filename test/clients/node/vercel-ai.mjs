import { createMCPClient } from '@ai-sdk/mcp';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, isStepCount } from 'ai';

const client = await createMCPClient({ transport: { type: 'http', url: process.env.TOOLS_URL } });
const models = createOpenAICompatible({ name: 'scripted', baseURL: process.env.OPENAI_BASE_URL });
const { text } = await generateText({
  model: models('scripted'),
  tools: await client.tools(),
  stopWhen: isStepCount(30),
  prompt: 'tidy up',
});
console.log(text);
await client.close();
