/**
 * A bare WebSocket server, in a process of its own: prints its port. A text `stream N` is answered with N bytes in
 * binary messages of 64 KiB and a text; a text `sink N` with a text after N bytes have come; any other text with itself.
 */
import { Buffer } from "node:buffer";
import { WebSocketServer } from "ws";
import { MESSAGE_BYTES, sendBytes } from "./websocket.ts";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("listening", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : "");
});
server.on("connection", (socket) => {
  let missing = 0;
  const block = Buffer.alloc(MESSAGE_BYTES);
  socket.on("message", (data: Buffer, isBinary) => {
    if (isBinary) {
      missing -= data.length;
      if (missing <= 0) socket.send("done");
      return;
    }
    const text = data.toString();
    const [what, bytes] = text.split(" ");
    if (what === "sink") missing = Number(bytes);
    else if (what === "stream") sendBytes(socket, block, Number(bytes)).then(() => socket.send("done"));
    else socket.send(text);
  });
});
process.stdin.on("end", () => process.exit(0)).resume(); // whoever started it has ended
