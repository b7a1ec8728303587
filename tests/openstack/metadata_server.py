"""Nova's part of the metadata service: `metadata_server.py FILE [PORT]`.

Runs on a compute node like nova-api-metadata and answers as it does without a proxy in between: the sender's address says which
machine asks. FILE is a JSON object: address -> {"instance-id": ..., "hostname": ..., "user-data": ...}; read for each question.
"""

import http.server
import json
import socketserver
import sys

FILE = sys.argv[1]
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 8775


class Answer(http.server.BaseHTTPRequestHandler):
    timeout = 10

    def do_GET(self):
        with open(FILE) as file:
            machine = json.load(file).get(self.client_address[0], {})
        texts = {'/latest/meta-data/' + name: text for name, text in machine.items() if name != 'user-data'}
        if 'user-data' in machine:
            texts['/latest/user-data'] = machine['user-data']
        texts['/latest/meta-data/'] = '\n'.join(sorted(name for name in machine if name != 'user-data'))
        text = texts.get(self.path) if machine else None
        body = (text or '').encode()
        self.send_response(200 if text is not None else 404)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    """http.server's own asks DNS for the host's name before it listens: five seconds where nobody answers."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == '__main__':
    with Server(('0.0.0.0', PORT), Answer) as server:
        print('listening', flush=True)
        server.serve_forever()
