#include "store/etcd/watch_stream.h"

#include <utility>

namespace store {

WatchStream::WatchStream(CompletionThread& thread, LinkPtr link, std::vector<etcdserverpb::WatchCreateRequest> watches,
                         Handlers handlers)
    : thread_(thread), link_(std::move(link)), watches_(std::move(watches)), handlers_(std::move(handlers)) {}

void WatchStream::open() {
  if (!thread_.attach(context_)) return;
  self_ = shared_from_this();
  if (!link_->token.empty()) context_.AddMetadata("token", link_->token);
  // Without this a member that has lost its cluster keeps the stream open and stays silent.
  context_.AddMetadata("hasleader", "true");
  stream_ = link_->watch->AsyncWatch(&context_, &thread_.queue(), &opened_);
}

void WatchStream::close() {
  closed_ = true;
  handlers_ = {};
  if (self_) context_.TryCancel();
}

void WatchStream::opened(bool ok) {
  if (!ok) return finish_when_quiet();
  read();
  write_next();
}

void WatchStream::read() {
  reading_ = true;
  stream_->Read(&response_, &was_read_);
}

void WatchStream::was_read(bool ok) {
  reading_ = false;
  if (!ok) return finish_when_quiet();
  if (!closed_) {
    const auto handle = handlers_.response;  // close() may drop it while it runs
    handle(response_);
  }
  read();
}

void WatchStream::write_next() {
  if (written_ == watches_.size()) return;
  *request_.mutable_create_request() = std::move(watches_[written_++]);
  writing_ = true;
  stream_->Write(request_, &was_written_);
}

void WatchStream::was_written(bool ok) {
  writing_ = false;
  if (finishing_) return finish_when_quiet();
  if (ok) write_next();  // otherwise the stream is broken, which the read is about to tell
}

void WatchStream::finish_when_quiet() {
  finishing_ = true;
  if (reading_ || writing_) return;
  stream_->Finish(&status_, &finished_);
}

void WatchStream::finished(bool) {
  const auto self = std::move(self_);
  if (!closed_ && !thread_.stopping()) {
    closed_ = true;
    const auto ended = std::move(handlers_.ended);
    handlers_ = {};
    ended(status_);
  }
  thread_.detach(context_);
}

}  // namespace store
