// A server on stdio, of the SDK's first or second major: node test/mcp_stdio_fixture.ts first|second
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { firstMajor, secondMajor } from './mcp_http_fixture.ts'

if (process.argv[2] === 'second') serveStdio(secondMajor)
else await firstMajor().connect(new StdioServerTransport())
