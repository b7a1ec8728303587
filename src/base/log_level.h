// log_level.h: severities of log lines; apart from log.h so that pure code can read configuration about logging.
#pragma once

namespace base {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError, kFatal };

}  // namespace base
